# The whole service on AWS. Top to bottom: each region, what connects them, what stands before them, who watches.

module "primary" {
  source                   = "../modules/aws/region"
  account_id               = data.aws_caller_identity.this.account_id
  region                   = var.regions[0]
  primary                  = true
  images                   = local.images[var.regions[0]]
  kms_key_arn              = lookup(var.encryption.kms_key_arns, var.regions[0], null)
  name                     = var.name
  domain                   = var.domain
  zone_id                  = var.zone_id
  functions                = local.functions
  limits_table             = local.limits_table
  limits_on_error          = var.limits.on_error
  uploads_retention_days   = var.uploads.retention_days
  jobs                     = var.jobs
  usage_retention_days     = var.usage.retention_days
  log_retention_days       = var.log_retention_days
  deletion_protection      = var.deletion_protection
  auth                     = var.auth
  cors_origins             = var.cors_origins
  model                    = var.model
  protection               = var.protection
  traces                   = var.traces
  alerts                   = var.alerts
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "standby" {
  for_each                 = local.standbys
  source                   = "../modules/aws/region"
  account_id               = data.aws_caller_identity.this.account_id
  providers                = { aws = aws.standby }
  region                   = each.value
  primary                  = false
  images                   = local.images[each.value]
  kms_key_arn              = lookup(var.encryption.kms_key_arns, each.value, null)
  name                     = var.name
  domain                   = var.domain
  zone_id                  = var.zone_id
  functions                = local.functions
  limits_table             = local.limits_table
  limits_on_error          = var.limits.on_error
  uploads_retention_days   = var.uploads.retention_days
  jobs                     = var.jobs
  usage_retention_days     = var.usage.retention_days
  log_retention_days       = var.log_retention_days
  deletion_protection      = var.deletion_protection
  auth                     = var.auth
  cors_origins             = var.cors_origins
  model                    = var.model
  protection               = var.protection
  traces                   = var.traces
  alerts                   = var.alerts
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "replication" {
  for_each                 = toset(length(local.standbys) > 0 ? ["models", "keys"] : [])
  source                   = "../modules/aws/replication"
  name                     = "${var.name}-${each.key}"
  source_bucket            = module.primary.buckets[each.key]
  destination_bucket       = module.standby["standby"].buckets[each.key]
  alarm_actions            = module.primary.notifications.warning
  runbook_url              = var.alerts.runbook_url
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "limits" {
  for_each            = toset(var.limits.store == "dynamodb" ? ["dynamodb"] : [])
  source              = "../modules/aws/limits"
  name                = local.limits_table
  kms_key_arn         = module.primary.key_arn
  replica             = one([for key, region in local.standbys : { region = region, kms_key_arn = module.standby[key].key_arn }])
  deletion_protection = var.deletion_protection
}

module "dns" {
  source         = "../modules/aws/dns"
  zone_id        = var.zone_id
  host           = "api.${var.domain}"
  load_balancers = { for key, region in local.regions : key => region.load_balancer }
}

module "page_certificate" {
  source    = "../modules/aws/certificate"
  providers = { aws = aws.us_east_1 }
  domain    = var.domain
  zone_id   = var.zone_id
}

module "page" {
  source              = "../modules/aws/page"
  certificate_arn     = module.page_certificate.arn
  bucket_name         = "${var.name}-${data.aws_caller_identity.this.account_id}-page"
  region              = var.regions[0]
  domain              = var.domain
  zone_id             = var.zone_id
  api_url             = "https://api.${var.domain}"
  upload_origins      = [for region in local.regions : "https://${region.buckets["uploads"].domain}"]
  folder              = "${path.module}/../../static_ui"
  deletion_protection = var.deletion_protection
}

module "site_encryption" {
  source           = "../modules/aws/encryption"
  account_id       = data.aws_caller_identity.this.account_id
  providers        = { aws = aws.us_east_1 }
  name             = "${var.name}-site"
  region           = "us-east-1"
  existing_key_arn = lookup(var.encryption.kms_key_arns, "us-east-1", null)
}

module "site_notifications" {
  source      = "../modules/aws/notifications"
  account_id  = data.aws_caller_identity.this.account_id
  providers   = { aws = aws.us_east_1 }
  name        = "${var.name}-site"
  region      = "us-east-1"
  kms_key_arn = module.site_encryption.key_arn
  email       = var.alerts.email
  sms         = var.alerts.sms
}

module "site" {
  source        = "../modules/aws/site"
  providers     = { aws = aws.us_east_1 }
  name          = var.name
  health_checks = module.dns.health_check_ids
  notifications = module.site_notifications
  runbook_url   = var.alerts.runbook_url
}

module "chat" {
  for_each                 = { for name, chat in { slack = var.alerts.chat } : name => chat if chat != null }
  source                   = "../modules/aws/chat"
  name                     = var.name
  slack_workspace_id       = each.value.slack_workspace_id
  slack_channel_id         = each.value.slack_channel_id
  topic_arns               = flatten([module.site_notifications.warning, [for region in local.regions : region.notifications.warning]])
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "budget" {
  for_each    = { for name, budget in { monthly = var.budget } : name => budget if budget != null }
  source      = "../modules/aws/budget"
  name        = var.name
  monthly_usd = each.value.monthly_usd
  thresholds  = each.value.thresholds
  email       = var.alerts.email
}
