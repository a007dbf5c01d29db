# Events as files, which `plant-disease usage report` reads, and answers kept for a day (docs/usage.md).
resource "google_storage_bucket" "usage" {
  #checkov:skip=CKV_GCP_62: events are written once and read once a month
  #checkov:skip=CKV_GCP_78: each event is a file of its own that is never written over, and the dataset has it again
  project                     = var.project
  name                        = var.bucket_name
  location                    = var.placement.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection
  labels                      = var.labels

  dynamic "custom_placement_config" {
    for_each = length(var.placement.regions) == 2 ? [var.placement.regions] : []
    content {
      data_locations = [for region in custom_placement_config.value : upper(region)]
    }
  }

  dynamic "lifecycle_rule" {
    for_each = { "dt=" = var.retention_days, "answers/" = 1 }
    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = [lifecycle_rule.key]
      }
    }
  }

  # An answer to an explanation is a photo, and is gone after its day.
  soft_delete_policy {
    retention_duration_seconds = 0
  }
}

resource "google_storage_bucket_iam_member" "writers" {
  for_each = var.writers

  bucket = google_storage_bucket.usage.name
  role   = "roles/storage.objectUser"
  member = each.value
}

locals {
  # BigQuery has no location ASIA.
  dataset_location = var.placement.location == "ASIA" ? var.placement.regions[0] : var.placement.location
}

# The same events from the log lines, as a table.
resource "google_bigquery_dataset" "usage" {
  #checkov:skip=CKV_GCP_81: events hold no photo, name or address; Google's own encryption is enough
  project                         = var.project
  dataset_id                      = replace("${var.name}_usage", "-", "_")
  location                        = local.dataset_location
  default_partition_expiration_ms = var.retention_days * 24 * 3600 * 1000
  delete_contents_on_destroy      = !var.deletion_protection
  labels                          = var.labels
}

resource "google_logging_project_sink" "usage" {
  project                = var.project
  name                   = "${var.name}-usage"
  destination            = "bigquery.googleapis.com/projects/${var.project}/datasets/${google_bigquery_dataset.usage.dataset_id}"
  filter                 = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^${var.name}-\" AND jsonPayload.event=\"usage\""
  unique_writer_identity = true

  bigquery_options {
    use_partitioned_tables = true
  }
}

resource "google_bigquery_dataset_iam_member" "sink" {
  project    = var.project
  dataset_id = google_bigquery_dataset.usage.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_logging_project_sink.usage.writer_identity
}
