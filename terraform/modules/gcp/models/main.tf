locals {
  dual = length(var.placement.regions) == 2
}

resource "google_storage_bucket" "models" {
  #checkov:skip=CKV_GCP_62: who reads models is in the audit logs of the project; logs of accesses by the functions would be one line a minute each
  project                     = var.project
  name                        = var.name
  location                    = var.placement.location
  rpo                         = local.dual ? (var.turbo_replication ? "ASYNC_TURBO" : "DEFAULT") : null
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection
  labels                      = var.labels

  dynamic "custom_placement_config" {
    for_each = local.dual ? [var.placement.regions] : []
    content {
      data_locations = [for region in custom_placement_config.value : upper(region)]
    }
  }

  versioning {
    enabled = true
  }

  # A channel is written over with each promotion: three months of them can be had again.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 90
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 30 * 24 * 3600
  }

  dynamic "encryption" {
    for_each = var.kms_key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.storage]
}

data "google_storage_project_service_account" "storage" {
  for_each = toset(var.kms_key[*])

  project = var.project
}

resource "google_kms_crypto_key_iam_member" "storage" {
  for_each = toset(var.kms_key[*])

  crypto_key_id = each.key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = data.google_storage_project_service_account.storage[each.key].member
}

resource "google_storage_bucket_iam_member" "readers" {
  for_each = var.readers

  bucket = google_storage_bucket.models.name
  role   = "roles/storage.objectViewer"
  member = each.value
}
