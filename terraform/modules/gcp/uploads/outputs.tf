output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.uploads.name
}

output "uri" {
  description = "What PLANT_UPLOADS_URI is set to."
  value       = "gs://${google_storage_bucket.uploads.name}"

  depends_on = [google_storage_bucket_iam_member.readers, google_storage_bucket_iam_member.signer, google_service_account_iam_member.signer]
}
