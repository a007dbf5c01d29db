resource "google_storage_bucket" "uploads" {
  #checkov:skip=CKV_GCP_62: names of objects are secrets here; a log of accesses would hold them
  #checkov:skip=CKV_GCP_78: a photo that is deleted is gone: no version of it may be left
  project                     = var.project
  name                        = var.name
  location                    = var.placement.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  # Photos are of a day: nothing here is worth keeping.
  force_destroy = true
  labels        = var.labels

  dynamic "custom_placement_config" {
    for_each = length(var.placement.regions) == 2 ? [var.placement.regions] : []
    content {
      data_locations = [for region in custom_placement_config.value : upper(region)]
    }
  }

  cors {
    origin          = var.origins
    method          = ["PUT"]
    response_header = ["Content-Type", "x-goog-content-length-range", "x-goog-if-generation-match"]
    max_age_seconds = 3600
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.retention_days
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }
}

resource "google_storage_bucket_iam_member" "readers" {
  for_each = var.readers

  bucket = google_storage_bucket.uploads.name
  role   = "roles/storage.objectViewer"
  member = each.value
}

resource "google_storage_bucket_iam_member" "signer" {
  bucket = google_storage_bucket.uploads.name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${var.signer}"
}

# Cloud Run has no key to sign with: the identity has Google sign for it, as itself and nobody else.
resource "google_service_account_iam_member" "signer" {
  service_account_id = "projects/${var.project}/serviceAccounts/${var.signer}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:${var.signer}"
}
