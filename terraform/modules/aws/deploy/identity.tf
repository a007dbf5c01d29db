# Whoever can make roles and give them rights can give himself all of them. So roles are made only inside a boundary, and only services that
# the root uses can be given one.
data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_108:a boundary grants nothing; each role's own policy is what does, and names what it may
  #checkov:skip=CKV_AWS_111:the same
  #checkov:skip=CKV_AWS_356:the same
  statement {
    sid       = "Data"
    actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem", "firehose:PutRecord*", "logs:CreateLogStream", "logs:PutLogEvents", "s3:*Object*", "s3:AbortMultipartUpload", "s3:Get*Configuration", "s3:GetBucketLocation", "s3:List*", "s3:Replicate*", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
    resources = [for pattern in ["s3:::${var.name}-*", "dynamodb:${local.any}:table/${var.name}-*", "firehose:${local.any}:deliverystream/${var.name}-*", "logs:${local.any}:log-group:/aws/lambda/${var.name}-*", "sqs:${local.any}:${var.name}-*"] : "${local.arn}:${pattern}"]
  }
  statement {
    sid       = "Keys"
    actions   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    resources = ["${local.arn}:kms:${local.any}:key/*"]
  }
  statement {
    sid       = "Watching"
    actions   = ["cloudwatch:DescribeAlarms", "cloudwatch:Get*", "cloudwatch:List*", "xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "boundary" {
  name   = "boundary-${var.name}"
  policy = data.aws_iam_policy_document.boundary.json
}

data "aws_iam_policy_document" "identity" {
  for_each = local.roles
  statement {
    sid       = "Roles"
    actions   = each.value.actions
    resources = ["${local.arn}:iam::${var.account_id}:role/${var.name}-*"]
  }
  dynamic "statement" {
    for_each = each.value.guarded
    content {
      sid       = statement.key
      actions   = statement.value.actions
      resources = ["${local.arn}:iam::${var.account_id}:role/${statement.value.role}"]
      condition {
        test     = "StringLike"
        variable = statement.value.variable
        values   = statement.value.values
      }
    }
  }
}

locals {
  read_roles = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags"]
  roles = {
    plan = { actions = local.read_roles, guarded = {} }
    deploy = {
      actions = concat(local.read_roles, ["iam:DeleteRole", "iam:DeleteRolePolicy", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"])
      guarded = {
        InsideTheBoundary = {
          actions  = ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"], role = "${var.name}-*",
          variable = "iam:PermissionsBoundary", values = [aws_iam_policy.boundary.arn]
        }
        ToServices = {
          actions  = ["iam:PassRole"], role = "${var.name}-*",
          variable = "iam:PassedToService", values = [for service in ["chatbot", "firehose", "lambda", "logs", "logs.*", "s3"] : "${service}.amazonaws.com"]
        }
        # Made by AWS with the first load balancer, table replica, Slack channel and web ACL log of an account.
        OfAWS = {
          actions  = ["iam:CreateServiceLinkedRole"], role = "aws-service-role/*",
          variable = "iam:AWSServiceName", values = [for service in ["elasticloadbalancing", "management.chatbot", "replication.dynamodb", "wafv2"] : "${service}.amazonaws.com"]
        }
      }
    }
  }
}
