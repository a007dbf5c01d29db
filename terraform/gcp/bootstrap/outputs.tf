output "registry" {
  description = "What `registry` of the root is set to."
  value       = "${var.location}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "state_bucket" {
  description = "Bucket of the state."
  value       = google_storage_bucket.state.name
}

output "deploy_service_account" {
  description = "Identity that the pipeline takes."
  value       = google_service_account.deploy.email
}

output "workload_identity_provider" {
  description = "Provider that the pipeline names."
  value       = google_iam_workload_identity_pool_provider.github.name
}
