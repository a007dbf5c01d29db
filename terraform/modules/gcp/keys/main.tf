resource "google_secret_manager_secret" "keys" {
  project             = var.project
  secret_id           = var.name
  labels              = var.labels
  deletion_protection = var.deletion_protection

  replication {
    user_managed {
      dynamic "replicas" {
        for_each = var.regions
        content {
          location = replicas.value
        }
      }
    }
  }
}

# A document without keys, for a service to start with. Further versions are made by people (README.md) and are none of Terraform's business.
resource "google_secret_manager_secret_version" "none" {
  secret      = google_secret_manager_secret.keys.id
  secret_data = jsonencode({ format = 1, plans = {}, keys = {} })

  # Other versions are there by then: deleting this one would ask for a right that nobody needs.
  deletion_policy = "ABANDON"
}

resource "google_secret_manager_secret_iam_member" "readers" {
  for_each = var.readers

  project   = var.project
  secret_id = google_secret_manager_secret.keys.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value
}
