output "uri" {
  description = "What PLANT_USAGE_URI is set to."
  value       = "gs://${google_storage_bucket.usage.name}"

  depends_on = [google_storage_bucket_iam_member.writers]
}

output "table" {
  description = "Table of the events in BigQuery; it appears with the first of them."
  value       = "${var.project}.${google_bigquery_dataset.usage.dataset_id}.run_googleapis_com_stdout"
}
