output "secret" {
  description = "Name of the secret; a new version of it is a new document of the keys."
  value       = google_secret_manager_secret.keys.secret_id

  # A service that may not read it does not start.
  depends_on = [google_secret_manager_secret_version.none, google_secret_manager_secret_iam_member.readers]
}
