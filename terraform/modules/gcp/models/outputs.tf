output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.models.name
}

output "uri" {
  description = "What PLANT_MODEL_URI is set to."
  value       = "gs://${google_storage_bucket.models.name}"

  depends_on = [google_storage_bucket_iam_member.readers]
}
