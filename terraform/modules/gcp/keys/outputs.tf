output "secret" {
  description = "Name of the secret; a new version of it is a new document of the keys."
  value       = google_secret_manager_secret.keys.secret_id

  depends_on = [google_secret_manager_secret_version.none]
}
