# The two roles that a pipeline on GitHub takes without a key: one pushes images and plans, the other applies what somebody has approved.
data "aws_partition" "this" {}

locals {
  arn = "arn:${data.aws_partition.this.partition}"
  # Of every region.
  any      = "*:${var.account_id}"
  host     = "token.actions.githubusercontent.com"
  provider = var.oidc_provider_arn == null ? one(values(aws_iam_openid_connect_provider.github)).arn : var.oidc_provider_arn

  policies = merge([for role in keys(var.subjects) : { for part, document in {
    release  = data.aws_iam_policy_document.release[role].json
    named    = data.aws_iam_policy_document.named[role].json
    unnamed  = role == "plan" ? data.aws_iam_policy_document.unnamed_read.json : data.aws_iam_policy_document.unnamed.json
    identity = data.aws_iam_policy_document.identity[role].json
  } : "${role}-${part}" => { role = role, part = part, document = document } }]...)
}

# An account has one for GitHub at most.
resource "aws_iam_openid_connect_provider" "github" {
  for_each       = toset(var.oidc_provider_arn == null ? ["own"] : [])
  url            = "https://${local.host}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "assume" {
  for_each = var.subjects
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
      values   = each.value
    }
  }
}

# No pattern of what the root makes matches these names: the roles must not be able to change themselves.
resource "aws_iam_role" "this" {
  for_each             = var.subjects
  name                 = "${each.key}-${var.name}"
  assume_role_policy   = data.aws_iam_policy_document.assume[each.key].json
  max_session_duration = 3600
}

resource "aws_iam_policy" "this" {
  for_each = local.policies
  name     = "${each.value.role}-${var.name}-${each.value.part}"
  policy   = each.value.document
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each   = local.policies
  role       = aws_iam_role.this[each.value.role].name
  policy_arn = aws_iam_policy.this[each.key].arn
}
