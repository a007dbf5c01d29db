# Jobs (docs/jobs.md): where they and their results lie, the topic of their chunks, and the push that brings these to the function.
resource "google_storage_bucket" "jobs" {
  #checkov:skip=CKV_GCP_62: names of objects are ids of jobs; who asks is in the log of the function
  #checkov:skip=CKV_GCP_78: each object is written once
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

resource "google_storage_bucket_iam_member" "worker" {
  bucket = google_storage_bucket.jobs.name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${var.worker}"
}

# Results are fetched with addresses that the function signs: Google signs for it, as itself and nobody else.
resource "google_service_account_iam_member" "signer" {
  service_account_id = "projects/${var.project}/serviceAccounts/${var.worker}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:${var.worker}"
}

resource "google_pubsub_topic" "this" {
  #checkov:skip=CKV_GCP_83: a message is an id and a number; Google's own encryption is enough
  for_each = { chunks = "${var.name}-jobs", dead_letters = "${var.name}-jobs-dead-letters" }

  project = var.project
  name    = each.value
  labels  = var.labels

  message_storage_policy {
    allowed_persistence_regions = var.placement.regions
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  project = var.project
  topic   = google_pubsub_topic.this["chunks"].name
  role    = "roles/pubsub.publisher"
  member  = "serviceAccount:${var.worker}"
}

# Who pushes: its token is what the function lets in.
resource "google_service_account" "push" {
  project      = var.project
  account_id   = "${var.name}-push"
  display_name = "Brings chunks of jobs to the function batch of ${var.name}"
}

resource "google_pubsub_subscription" "push" {
  project = var.project
  name    = "${var.name}-jobs"
  topic   = google_pubsub_topic.this["chunks"].id
  labels  = var.labels

  # More than a chunk may take.
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = "" # never
  }
  push_config {
    push_endpoint = local.endpoint
    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.endpoint
    }
  }
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }
  # After ten deliveries the function gives a chunk up by itself; two more are for saying so.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.this["dead_letters"].id
    max_delivery_attempts = 12
  }

  depends_on = [google_pubsub_topic_iam_member.dead_letters]
}

# Without a subscription, what is published is gone.
resource "google_pubsub_subscription" "dead_letters" {
  project                    = var.project
  name                       = "${var.name}-jobs-dead-letters"
  topic                      = google_pubsub_topic.this["dead_letters"].id
  labels                     = var.labels
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

data "google_project" "this" {
  project_id = var.project
}

locals {
  # Through the load balancer, as everybody comes: so a region that fails is left alone.
  endpoint = "https://${var.domain}/jobs/work"
  pubsub   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# Pub/Sub itself moves what nobody does, and signs tokens for the identity that pushes.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  project = var.project
  topic   = google_pubsub_topic.this["dead_letters"].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  project      = var.project
  subscription = google_pubsub_subscription.push.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub
}

resource "google_service_account_iam_member" "push" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub
}

resource "google_monitoring_alert_policy" "this" {
  for_each = {
    JobsLate        = { subscription = google_pubsub_subscription.push.name, metric = "oldest_unacked_message_age", threshold = var.late_after_s, minutes = 5, text = "chunks of jobs lie too long" }
    JobsDeadLetters = { subscription = google_pubsub_subscription.dead_letters.name, metric = "num_undelivered_messages", threshold = 0, minutes = 0, text = "chunks of jobs could not even be given up" }
  }

  project               = var.project
  display_name          = "${var.name} ${each.key}"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.text
    condition_threshold {
      filter          = "metric.type=\"pubsub.googleapis.com/subscription/${each.value.metric}\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${each.value.subscription}\""
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "${each.value.minutes * 60}s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    subject = "${var.name}: ${each.value.text}"
    content = var.runbook_url
  }
}
