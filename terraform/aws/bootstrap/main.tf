# Once for an account, by a person: where state and images are.
data "aws_caller_identity" "this" {}

provider "aws" {
  region = var.regions[0]
}

module "state" {
  source = "../../modules/aws/bucket"
  name   = "${var.name}-${data.aws_caller_identity.this.account_id}-state"
}

resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_136:the images hold no secret; AES-256 of ECR is enough
  for_each             = toset(["predict", "batch", "explain"])
  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = aws_ecr_repository.this
  repository = each.value.name
  policy = jsonencode({ rules = [{
    rulePriority = 1, description = "images without a tag", action = { type = "expire" },
    selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
  }] })
}

resource "aws_ecr_replication_configuration" "this" {
  for_each = toset(slice(var.regions, 1, length(var.regions)))
  replication_configuration {
    rule {
      destination {
        region      = each.key
        registry_id = data.aws_caller_identity.this.account_id
      }
      repository_filter {
        filter      = "${var.name}/"
        filter_type = "PREFIX_MATCH"
      }
    }
  }
}
