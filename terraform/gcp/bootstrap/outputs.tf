output "registry" {
  description = "What `registry` of the root is set to, and variable REGISTRY of the repository."
  value       = "${var.location}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "state_bucket" {
  description = "Bucket of the state: variable STATE_BUCKET of the repository, and `-backend-config=bucket=…` of the root."
  value       = google_storage_bucket.state.name
}

output "plan_service_account" {
  description = "Variable DEPLOY_SERVICE_ACCOUNT of the repository: builds, pushes and plans."
  value       = google_service_account.pipeline["plan"].email
}

output "deploy_service_account" {
  description = "Variable DEPLOY_SERVICE_ACCOUNT of the environment, where it has precedence: applies."
  value       = google_service_account.pipeline["deploy"].email
}

output "workload_identity_provider" {
  description = "Variable WORKLOAD_IDENTITY_PROVIDER of the repository."
  value       = google_iam_workload_identity_pool_provider.github.name
}
