# Once for each project, by a person: where the state is, where images are, and who deploys without a key.

resource "google_project_service" "needed" {
  for_each = toset(["artifactregistry", "containerscanning", "iam", "iamcredentials", "serviceusage", "storage", "sts"])

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

resource "google_service_account" "deploy" {
  project      = var.project
  account_id   = "${var.name}-deploy"
  display_name = "Deploys ${var.name}"
}

resource "google_iam_workload_identity_pool" "github" {
  project                   = var.project
  workload_identity_pool_id = "github"

  depends_on = [google_project_service.needed]
}

# Only the branch main of one repository.
resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125: attribute_condition names the repository and the branch
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_mapping                  = { "google.subject" = "assertion.sub", "attribute.repository" = "assertion.repository" }
  attribute_condition                = "assertion.repository == '${var.repository}' && assertion.ref == 'refs/heads/main'"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github" {
  service_account_id = google_service_account.deploy.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/attribute.repository/${var.repository}"
}

resource "google_artifact_registry_repository_iam_member" "deploy" {
  project    = var.project
  location   = var.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.deploy.member
}
