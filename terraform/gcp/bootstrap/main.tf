# Once for each project, by a person: where the state is and where images are. Who plans and deploys is in pipeline.tf.

resource "google_project_service" "needed" {
  for_each = toset(["artifactregistry", "cloudresourcemanager", "containerscanning", "iam", "iamcredentials", "serviceusage", "storage", "sts"])

  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_storage_bucket" "state" {
  #checkov:skip=CKV_GCP_62: who reads the state is in the audit logs of the project
  project                     = var.project
  name                        = "${var.project}-${var.name}-state"
  location                    = { europe = "EU", us = "US", asia = "ASIA" }[split("-", var.location)[0]]
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection
  labels                      = var.labels

  versioning {
    enabled = true
  }

  depends_on = [google_project_service.needed]
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84: images hold no secrets; Google's own encryption is enough
  project       = var.project
  location      = var.location
  repository_id = var.name
  format        = "DOCKER"
  labels        = var.labels

  docker_config {
    immutable_tags = true
  }
  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 20
    }
  }
  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s"
    }
  }

  depends_on = [google_project_service.needed]
}
