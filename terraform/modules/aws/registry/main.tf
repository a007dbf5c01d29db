# The images in one region. Replication copies images, not settings, so that each region has repositories of its own.
data "aws_partition" "this" {}

resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_136:the images hold no secret; AES-256 of ECR is enough
  for_each             = toset(["predict", "batch", "explain"])
  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deletion_protection

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = aws_ecr_repository.this
  repository = each.value.name
  policy = jsonencode({ rules = [
    {
      rulePriority = 1, description = "images without a tag", action = { type = "expire" },
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
    },
    {
      # What is live is among the newest; releases come by the week.
      rulePriority = 2, description = "all but the newest releases", action = { type = "expire" },
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 100 }
    },
  ] })
}

data "aws_iam_policy_document" "pull" {
  statement {
    sid     = "Lambda"
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.this.partition}:lambda:${var.region}:${var.account_id}:function:${var.name}-*"]
    }
  }
}

resource "aws_ecr_repository_policy" "this" {
  for_each   = aws_ecr_repository.this
  repository = each.value.name
  policy     = data.aws_iam_policy_document.pull.json
}
