# Two identities for pipelines, taken by GitHub's token and without a key. `plan` builds, pushes and plans from any tag of a version, and
# changes nothing but images. `deploy` applies, and is taken by nothing but a job in the environment that asks people first: whoever may
# push a tag, and a workflow with it, cannot deploy by that.
locals {
  identities = { plan = "Builds and plans", deploy = "Deploys" }

  # One service after the other, what the root makes there. A predefined role each, and none of the basic ones (owner, editor, viewer).
  deploy_roles = [
    "roles/bigquery.dataOwner",             # dataset of usage, and its policy
    "roles/certificatemanager.owner",       # certificate and its map; .editor cannot delete
    "roles/compute.loadBalancerAdmin",      # address, proxies, URL maps, backends, endpoint groups
    "roles/compute.networkAdmin",           # network of Redis
    "roles/compute.securityAdmin",          # Cloud Armor
    "roles/dns.admin",                      # records, where zone_name is set
    "roles/iam.serviceAccountAdmin",        # identities of the functions, and who signs as them
    "roles/iam.serviceAccountUser",         # run functions as them
    "roles/logging.configWriter",           # metrics, sink, retention
    "roles/monitoring.editor",              # alerts, SLOs, uptime checks, dashboard
    "roles/pubsub.admin",                   # topic and subscriptions of jobs, and their policies
    "roles/redis.admin",                    # counts
    "roles/run.admin",                      # functions; .developer may not switch Google's own check of callers off
    "roles/secretmanager.admin",            # keys, addresses of Redis, and their policies
    "roles/serviceusage.serviceUsageAdmin", # services of Google that are switched on
    "roles/storage.admin",                  # buckets, their policies, files of the page, the state
  ]
  # What the root grants for the whole project. With a role that is not here, `deploy` could make itself owner.
  granted_roles = ["roles/cloudtrace.agent"]

  plan_roles = [
    "roles/bigquery.metadataViewer", "roles/certificatemanager.viewer", "roles/compute.viewer", "roles/dns.reader", "roles/logging.viewer",
    "roles/monitoring.viewer", "roles/pubsub.viewer", "roles/redis.viewer", "roles/run.viewer", "roles/secretmanager.viewer", "roles/serviceusage.serviceUsageViewer",
  ]

  # Who takes them. GitHub writes the subject of `deploy` into the token of a job in the environment, and into no other.
  takers = {
    plan   = { kind = "principalSet", name = "attribute.repository/${var.repository}" }
    deploy = { kind = "principal", name = "subject/repo:${var.repository}:environment:${var.environment}" }
  }
}

resource "google_service_account" "pipeline" {
  for_each = local.identities

  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = "${each.value} ${var.name}"

  depends_on = [google_project_service.needed]
}

resource "google_iam_workload_identity_pool" "github" {
  project                   = var.project
  workload_identity_pool_id = "github"

  depends_on = [google_project_service.needed]
}

# Only tags of versions, of one repository: what pipelines/github/deploy-gcp.yml runs on.
resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125: attribute_condition names the repository and its tags
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_mapping                  = { "google.subject" = "assertion.sub", "attribute.repository" = "assertion.repository" }
  attribute_condition                = "assertion.repository == '${var.repository}' && assertion.ref.startsWith('refs/tags/${var.tags}')"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github" {
  for_each = local.takers

  service_account_id = google_service_account.pipeline[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "${each.value.kind}://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/${each.value.name}"
}

resource "google_artifact_registry_repository_iam_member" "images" {
  for_each = { plan = "roles/artifactregistry.writer", deploy = "roles/artifactregistry.reader" }

  project    = var.project
  location   = var.location
  repository = google_artifact_registry_repository.images.name
  role       = each.value
  member     = google_service_account.pipeline[each.key].member
}

resource "google_project_iam_member" "deploy" {
  #checkov:skip=CKV_GCP_41: the identities of the functions are made by the root, so no right over each of them can be given before
  #checkov:skip=CKV_GCP_49: the same
  for_each = toset(local.deploy_roles)

  project = var.project
  role    = each.key
  member  = google_service_account.pipeline["deploy"].member
}

resource "google_project_iam_member" "deploy_grants" {
  project = var.project
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = google_service_account.pipeline["deploy"].member

  condition {
    title       = "What the root grants"
    description = "Grants and takes back these roles, and no other"
    expression  = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([${join(", ", [for role in local.granted_roles : "'${role}'"])}])"
  }
}

resource "google_project_iam_member" "plan" {
  for_each = toset(local.plan_roles)

  project = var.project
  role    = each.key
  member  = google_service_account.pipeline["plan"].member
}

# What planning reads as well and no role for reading has. The state holds the same secrets.
resource "google_project_iam_custom_role" "plan" {
  project     = var.project
  role_id     = replace("${var.name}_plan", "-", "_")
  title       = "Plans ${var.name}"
  description = "Reads what a plan compares and predefined roles for reading leave out"
  permissions = [
    "iam.serviceAccounts.get", "iam.serviceAccounts.getIamPolicy", "pubsub.subscriptions.getIamPolicy", "pubsub.topics.getIamPolicy",
    "redis.instances.getAuthString", "resourcemanager.projects.getIamPolicy", "secretmanager.versions.access", "storage.buckets.get", "storage.buckets.getIamPolicy",
  ]

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "plan_reads" {
  project = var.project
  role    = google_project_iam_custom_role.plan.name
  member  = google_service_account.pipeline["plan"].member
}

# Reads the state, and writes nothing there but the lock.
resource "google_storage_bucket_iam_member" "plan_state" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.pipeline["plan"].member
}

resource "google_storage_bucket_iam_member" "plan_lock" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectUser"
  member = google_service_account.pipeline["plan"].member

  condition {
    title      = "The lock alone"
    expression = "resource.name.endsWith('.tflock')"
  }
}

# A budget belongs to the billing account, where a person with rights over that account lets them.
resource "google_billing_account_iam_member" "budget" {
  for_each = { for identity, role in { plan = "roles/billing.viewer", deploy = "roles/billing.costsManager" } : identity => role if var.billing_account != null }

  billing_account_id = var.billing_account
  role               = each.value
  member             = google_service_account.pipeline[each.key].member
}
