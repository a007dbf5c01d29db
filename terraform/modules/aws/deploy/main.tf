# The role that a pipeline on GitHub takes without a key, to push images and to plan and apply the root.
data "aws_partition" "this" {}

locals {
  arn = "arn:${data.aws_partition.this.partition}"
  # Of every region; "any" is for ARNs that name the account.
  any = "*:${var.account_id}"
  # A name that no pattern of what the root makes matches: the role must not be able to change itself.
  role_name = "deploy-${var.name}"
  host      = "token.actions.githubusercontent.com"
  provider  = var.oidc_provider_arn == null ? one(values(aws_iam_openid_connect_provider.github)).arn : var.oidc_provider_arn
}

# An account has one for GitHub at most.
resource "aws_iam_openid_connect_provider" "github" {
  for_each       = toset(var.oidc_provider_arn == null ? ["own"] : [])
  url            = "https://${local.host}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [local.provider]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.host}:aud"
      values   = ["sts.amazonaws.com"]
    }
    # Without it, every repository on GitHub could take the role.
    condition {
      test     = "StringLike"
      variable = "${local.host}:sub"
      values   = var.subjects
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = local.role_name
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  max_session_duration = 3600
}

resource "aws_iam_policy" "this" {
  for_each = {
    release  = data.aws_iam_policy_document.release.json
    named    = data.aws_iam_policy_document.named.json
    unnamed  = data.aws_iam_policy_document.unnamed.json
    identity = data.aws_iam_policy_document.identity.json
  }
  name   = "${local.role_name}-${each.key}"
  policy = each.value
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each   = aws_iam_policy.this
  role       = aws_iam_role.this.name
  policy_arn = each.value.arn
}
