# Whoever can make roles and give them rights can give himself all of them. So roles are made only inside a boundary, and only services that
# the root uses can be given one.
data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_108:a boundary grants nothing; each role's own policy is what does, and names what it may
  #checkov:skip=CKV_AWS_111:the same
  #checkov:skip=CKV_AWS_356:the same
  statement {
    sid       = "Data"
    actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem", "firehose:PutRecord*", "logs:CreateLogStream", "logs:PutLogEvents", "s3:*Object*", "s3:AbortMultipartUpload", "s3:Get*Configuration", "s3:GetBucketLocation", "s3:List*", "s3:Replicate*"]
    resources = [for pattern in ["s3:::${var.name}-*", "dynamodb:${local.any}:table/${var.name}-*", "firehose:${local.any}:deliverystream/${var.name}-*", "logs:${local.any}:log-group:/aws/lambda/${var.name}-*"] : "${local.arn}:${pattern}"]
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
  statement {
    sid = "Roles"
    actions = [
      "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies", "iam:ListRoleTags", "iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
    ]
    resources = ["${local.arn}:iam::${var.account_id}:role/${var.name}-*"]
  }
  statement {
    sid       = "RolesInsideTheBoundary"
    actions   = ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"]
    resources = ["${local.arn}:iam::${var.account_id}:role/${var.name}-*"]
    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.boundary.arn]
    }
  }
  statement {
    sid       = "RolesOfServices"
    actions   = ["iam:PassRole"]
    resources = ["${local.arn}:iam::${var.account_id}:role/${var.name}-*"]
    condition {
      test     = "StringLike"
      variable = "iam:PassedToService"
      values   = [for service in ["chatbot", "firehose", "lambda", "logs", "logs.*", "s3"] : "${service}.amazonaws.com"]
    }
  }
  # Made by AWS with the first load balancer, table replica and web ACL log of an account.
  statement {
    sid       = "RolesOfAWS"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.arn}:iam::${var.account_id}:role/aws-service-role/*"]
    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = [for service in ["elasticloadbalancing", "management.chatbot", "replication.dynamodb", "wafv2"] : "${service}.amazonaws.com"]
    }
  }
}
