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
  signer         = module.function["predict"].service_account
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

module "keys" {
  source = "../modules/gcp/keys"

  project             = var.project
  name                = "${var.name}-keys"
  regions             = var.regions
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
