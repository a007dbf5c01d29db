# State, images, and the key of the smoke test.
data "aws_iam_policy_document" "release" {
  for_each = var.subjects
  #checkov:skip=CKV_AWS_356:only to log in, which is to the registry of the account
  statement {
    sid       = "ReadState"
    actions   = ["s3:ListBucket", "s3:GetObject"]
    resources = [var.state_bucket_arn, "${var.state_bucket_arn}/*"]
  }
  # Who plans writes the lock beside the state, and nothing else.
  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${var.state_bucket_arn}/${each.key == "plan" ? "*.tflock" : "*"}"]
  }
  # The lock file is deleted; versions are what the state is restored from.
  statement {
    sid       = "StateStays"
    effect    = "Deny"
    actions   = ["s3:DeleteBucket*", "s3:DeleteObjectVersion", "s3:PutBucket*", "s3:Put*Configuration"]
    resources = [var.state_bucket_arn, "${var.state_bucket_arn}/*"]
  }
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
  statement {
    sid = "Images"
    actions = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages", "ecr:DescribeRepositories",
      "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    resources = ["${local.arn}:ecr:${local.any}:repository/${var.name}/*"]
  }
  dynamic "statement" {
    for_each = each.key == "deploy" ? ["SmokeTest"] : []
    content {
      sid       = statement.value
      actions   = ["secretsmanager:GetSecretValue"]
      resources = ["${local.arn}:secretsmanager:${local.any}:secret:${var.name}/*"]
    }
  }
}
