output "environment" {
  description = "Settings of the function."
  value = {
    PLANT_JOBS_URI           = "gs://${google_storage_bucket.jobs.name}"
    PLANT_JOBS_QUEUE         = "pubsub:projects/${var.project}/topics/${google_pubsub_topic.this["chunks"].name}"
    PLANT_JOBS_PUSH_AUDIENCE = local.endpoint
    PLANT_JOBS_PUSH_ACCOUNT  = "${var.name}-push@${var.project}.iam.gserviceaccount.com"
  }
  # A function that starts may use them at once.
  depends_on = [
    google_storage_bucket_iam_member.worker, google_service_account_iam_member.signer, google_pubsub_topic_iam_member.publisher,
  ]
}
