# The whole service on Google Cloud. Top to bottom: what it needs, what it stores, what answers, what stands before it, who watches.

module "models" {
  source = "../modules/gcp/models"

  project             = var.project
  name                = "${var.project}-${var.name}-models"
  placement           = local.placement
  turbo_replication   = var.model.turbo_replication
  kms_key             = var.encryption.kms_key
  readers             = local.members
  labels              = local.labels
  deletion_protection = var.deletion_protection

  depends_on = [google_project_service.needed]
}

module "uploads" {
  source = "../modules/gcp/uploads"

  project        = var.project
  name           = "${var.project}-${var.name}-uploads"
  placement      = local.placement
  retention_days = var.uploads.retention_days
  origins        = concat(["https://${var.domain}"], var.cors_origins)
  readers        = { for name in ["batch", "explain"] : name => local.members[name] }
  signer         = google_service_account.function["predict"].email
  labels         = local.labels

  depends_on = [google_project_service.needed]
}

module "usage" {
  source = "../modules/gcp/usage"

  project             = var.project
  name                = var.name
  bucket_name         = "${var.project}-${var.name}-usage"
  placement           = local.placement
  retention_days      = var.usage.retention_days
  writers             = local.members
  labels              = local.labels
  deletion_protection = var.deletion_protection

  depends_on = [google_project_service.needed]
}

module "jobs" {
  source   = "../modules/gcp/jobs"
  for_each = toset(var.jobs.enabled ? ["jobs"] : [])

  project               = var.project
  name                  = var.name
  bucket_name           = "${var.project}-${var.name}-jobs"
  placement             = local.placement
  domain                = var.domain
  worker                = google_service_account.function["batch"].email
  retention_days        = var.jobs.retention_days
  notification_channels = module.monitoring.warning_channels
  runbook_url           = var.alerts.runbook_url
  labels                = local.labels
  deletion_protection   = var.deletion_protection

  depends_on = [google_project_service.needed]
}

module "keys" {
  source = "../modules/gcp/keys"

  project             = var.project
  name                = "${var.name}-keys"
  regions             = local.data_regions
  readers             = local.members
  labels              = local.labels
  deletion_protection = var.deletion_protection

  depends_on = [google_project_service.needed]
}

module "limits" {
  source   = "../modules/gcp/limits"
  for_each = toset(var.limits.store == "redis" ? ["redis"] : [])

  project             = var.project
  name                = var.name
  regions             = var.regions
  memory_gb           = var.limits.memory_gb
  readers             = local.members
  labels              = local.labels
  deletion_protection = var.deletion_protection

  depends_on = [google_project_service.needed]
}

module "function" {
  source   = "../modules/gcp/function"
  for_each = local.functions

  project             = var.project
  name                = "${var.name}-${each.key}"
  regions             = var.regions
  service_account     = google_service_account.function[each.key].email
  image               = "${var.registry}/${each.key}@${local.digests[each.key]}"
  canary              = each.value.canary == null ? null : { image = "${var.registry}/${each.key}@${each.value.canary.digest}", percent = each.value.canary.percent }
  settings            = each.value.settings
  environment         = merge(concat([local.environment], [for jobs in module.jobs : jobs.environment if each.key == "batch"], [each.value.environment])...)
  secret_environment  = merge([for limits in module.limits : limits.secret_environment]...)
  secret_files        = { for region in var.regions : region => merge({ keys = { folder = "/keys", file = "keys.json", secret = module.keys.secret } }, [for limits in module.limits : limits.secret_files[region]]...) }
  subnets             = merge([for limits in module.limits : limits.subnets]...)
  collector_image     = var.traces ? local.collector_image : null
  labels              = local.labels
  deletion_protection = var.deletion_protection
}

module "protection" {
  source = "../modules/gcp/protection"

  project                        = var.project
  name                           = var.name
  requests_per_minute_by_address = var.protection.requests_per_minute_by_address
  adaptive                       = var.protection.adaptive
  pushed_paths                   = var.jobs.enabled ? ["/jobs/work"] : []

  depends_on = [google_project_service.needed]
}

module "page" {
  source = "../modules/gcp/page"

  project       = var.project
  name          = "${var.project}-${var.name}-page"
  placement     = local.placement
  folder        = "${path.module}/../../static_ui"
  upload_origin = "https://storage.googleapis.com"
  labels        = local.labels

  depends_on = [google_project_service.needed]
}

module "load_balancer" {
  source = "../modules/gcp/load_balancer"

  project         = var.project
  name            = var.name
  domain          = var.domain
  zone_name       = var.zone_name
  services        = local.services
  page            = module.page.backend
  security_policy = module.protection.policy
  labels          = local.labels

  depends_on = [google_project_service.needed]
}

module "monitoring" {
  source = "../modules/gcp/monitoring"

  project            = var.project
  name               = var.name
  domain             = var.domain
  services           = local.services
  email              = var.alerts.email
  sms                = var.alerts.sms
  slack_channel      = var.alerts.slack_channel
  slack_auth_token   = var.slack_auth_token
  runbook_url        = var.alerts.runbook_url
  log_retention_days = var.log_retention_days
  labels             = local.labels

  depends_on = [google_project_service.needed]
}

module "budget" {
  source   = "../modules/gcp/budget"
  for_each = { for name in ["monthly"] : name => var.budget if var.budget != null }

  project               = var.project
  name                  = var.name
  billing_account       = each.value.billing_account
  monthly_usd           = each.value.monthly_usd
  thresholds            = each.value.thresholds
  notification_channels = slice(module.monitoring.email_channels, 0, min(5, length(module.monitoring.email_channels)))

  depends_on = [google_project_service.needed]
}
