data "aws_caller_identity" "this" {}

data "aws_ecr_image" "this" {
  for_each        = setsubtract(keys(var.functions), keys(var.image_digests))
  repository_name = "${local.prefix}/${each.key}"
  image_tag       = var.image_tag
}

locals {
  host     = split("/", var.registry)[0]
  prefix   = split("/", var.registry)[1]
  account  = split(".", local.host)[0]
  digests  = merge({ for key, image in data.aws_ecr_image.this : key => image.image_digest }, var.image_digests)
  standbys = { for region in slice(var.regions, 1, length(var.regions)) : "standby" => region }
  # Lambda pulls from its own region, where bootstrap has the images copied to.
  images         = { for region in var.regions : region => { for key, digest in local.digests : key => "${local.account}.dkr.ecr.${region}.amazonaws.com/${local.prefix}/${key}@${digest}" } }
  limits_table   = var.limits.store == "dynamodb" ? "${var.name}-limits" : null
  load_balancers = merge({ primary = module.primary.load_balancer }, { for key, region in module.standby : key => region.load_balancer })
}

module "primary" {
  source                 = "../modules/aws/region"
  region                 = var.regions[0]
  primary                = true
  images                 = local.images[var.regions[0]]
  name                   = var.name
  domain                 = var.domain
  zone_id                = var.zone_id
  functions              = var.functions
  limits_table           = local.limits_table
  limits_on_error        = var.limits.on_error
  uploads_retention_days = var.uploads.retention_days
  usage_retention_days   = var.usage.retention_days
  log_retention_days     = var.log_retention_days
  deletion_protection    = var.deletion_protection
  auth                   = var.auth
  model                  = var.model
  protection             = var.protection
  alerts                 = var.alerts
}

module "standby" {
  for_each               = local.standbys
  source                 = "../modules/aws/region"
  providers              = { aws = aws.standby }
  region                 = each.value
  primary                = false
  images                 = local.images[each.value]
  name                   = var.name
  domain                 = var.domain
  zone_id                = var.zone_id
  functions              = var.functions
  limits_table           = local.limits_table
  limits_on_error        = var.limits.on_error
  uploads_retention_days = var.uploads.retention_days
  usage_retention_days   = var.usage.retention_days
  log_retention_days     = var.log_retention_days
  deletion_protection    = var.deletion_protection
  auth                   = var.auth
  model                  = var.model
  protection             = var.protection
  alerts                 = var.alerts
}

module "replication" {
  for_each           = toset(length(local.standbys) > 0 ? ["models", "keys"] : [])
  source             = "../modules/aws/replication"
  name               = "${var.name}-${each.key}"
  source_bucket      = module.primary.buckets[each.key]
  destination_bucket = module.standby["standby"].buckets[each.key]
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
  load_balancers = local.load_balancers
}

module "page" {
  source        = "../modules/aws/page"
  bucket_name   = "${var.name}-${data.aws_caller_identity.this.account_id}-page"
  region        = var.regions[0]
  domain        = var.domain
  zone_id       = var.zone_id
  api_url       = "https://api.${var.domain}"
  upload_origin = "https://${module.primary.buckets["uploads"].domain}"
  folder        = "${path.module}/../../static_ui"
  providers     = { aws = aws, aws.us_east_1 = aws.us_east_1 }
}

module "budget" {
  for_each    = { for name, budget in { monthly = var.budget } : name => budget if budget != null }
  source      = "../modules/aws/budget"
  name        = var.name
  monthly_usd = each.value.monthly_usd
  thresholds  = each.value.thresholds
  email       = var.alerts.email
}
