# Once for each account, by a person: where the state is, where images are, and who deploys without a key.
data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}

locals {
  standbys = { for region in slice(var.regions, 1, length(var.regions)) : "standby" => region }
  # The pipeline builds and plans from a tag, and applies in the environment that somebody approves.
  subjects = {
    plan   = ["repo:${coalesce(var.repository, "none")}:ref:${var.ref}"]
    deploy = ["repo:${coalesce(var.repository, "none")}:environment:${var.environment}"]
  }
}

provider "aws" {
  region = var.regions[0]
  default_tags {
    tags = merge({ service = var.name }, var.tags)
  }
}

# With one region nothing is made by it.
provider "aws" {
  alias  = "standby"
  region = var.regions[length(var.regions) - 1]
  default_tags {
    tags = merge({ service = var.name }, var.tags)
  }
}

module "state" {
  source        = "../../modules/aws/bucket"
  name          = "${var.name}-${data.aws_caller_identity.this.account_id}-state"
  force_destroy = !var.deletion_protection
}

module "primary" {
  source              = "../../modules/aws/registry"
  account_id          = data.aws_caller_identity.this.account_id
  name                = var.name
  region              = var.regions[0]
  deletion_protection = var.deletion_protection
}

module "standby" {
  source              = "../../modules/aws/registry"
  for_each            = local.standbys
  providers           = { aws = aws.standby }
  account_id          = data.aws_caller_identity.this.account_id
  name                = var.name
  region              = each.value
  deletion_protection = var.deletion_protection
}

# Of the whole registry of the account: there is one at most.
resource "aws_ecr_replication_configuration" "this" {
  for_each = local.standbys
  replication_configuration {
    rule {
      destination {
        region      = each.value
        registry_id = data.aws_caller_identity.this.account_id
      }
      repository_filter {
        filter      = "${var.name}/"
        filter_type = "PREFIX_MATCH"
      }
    }
  }
  depends_on = [module.standby]
}

module "deploy" {
  source            = "../../modules/aws/deploy"
  for_each          = toset(var.repository == null ? [] : ["github"])
  account_id        = data.aws_caller_identity.this.account_id
  name              = var.name
  state_bucket_arn  = module.state.arn
  subjects          = local.subjects
  oidc_provider_arn = var.oidc_provider_arn
}
