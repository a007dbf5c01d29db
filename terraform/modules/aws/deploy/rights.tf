# What the root makes. Whoever applies Terraform reads, makes, changes and deletes each kind of thing, and the provider asks for more with
# each version: within a service all actions are allowed, and what they are allowed on is as narrow as its ARNs can say. Whoever plans reads the same.
locals {
  services = ["athena", "budgets", "cloudwatch", "dynamodb", "elasticloadbalancing", "firehose", "glue", "lambda", "logs", "s3", "sns", "sqs", "wafv2"]
  named = {
    deploy = [for service in local.services : "${service}:*"]
    # How things are set up, not what is in them: no objects, no log lines, no counts.
    plan = concat(
      flatten([for service in setsubtract(local.services, ["dynamodb", "logs", "s3"]) : [for verb in ["Describe", "Get", "List"] : "${service}:${verb}*"]]),
      ["budgets:ViewBudget", "dynamodb:Describe*", "dynamodb:List*", "logs:Describe*", "logs:List*", "s3:Get*Configuration", "s3:GetBucket*", "s3:ListBucket", "s3:ListTagsForResource"],
    )
  }
}

data "aws_iam_policy_document" "named" {
  #checkov:skip=CKV_AWS_108:buckets, tables and topics of the service alone, by name
  #checkov:skip=CKV_AWS_109:the same
  #checkov:skip=CKV_AWS_111:the same
  #checkov:skip=CKV_AWS_356:the same
  for_each = local.named
  # The files of the page are resources too, and everybody may see them.
  statement {
    sid       = "Page"
    actions   = ["s3:GetObject", "s3:GetObjectTagging"]
    resources = ["${local.arn}:s3:::${var.name}-${var.account_id}-page/*"]
  }
  statement {
    sid     = "ByName"
    actions = each.value
    resources = concat(
      [for pattern in ["", "/*"] : "${local.arn}:s3:::${var.name}-*${pattern}"],
      [for pattern in [
        "athena:${local.any}:workgroup/${var.name}-*",
        "budgets::${var.account_id}:budget/${var.name}",
        "cloudwatch:${local.any}:alarm:${var.name}-*",
        "cloudwatch::${var.account_id}:dashboard/${var.name}-*",
        "dynamodb:${local.any}:table/${var.name}-*",
        "elasticloadbalancing:${local.any}:*/app/${var.name}/*",
        "elasticloadbalancing:${local.any}:targetgroup/${var.name}-*",
        "firehose:${local.any}:deliverystream/${var.name}-*",
        "glue:${local.any}:catalog",
        "glue:${local.any}:database/${replace(var.name, "-", "_")}_*",
        "glue:${local.any}:table/${replace(var.name, "-", "_")}_*",
        "lambda:${local.any}:function:${var.name}-*",
        "logs:${local.any}:log-group:/aws/lambda/${var.name}-*",
        "logs:${local.any}:log-group:aws-waf-logs-${var.name}*",
        "sns:${local.any}:${var.name}-*",
        "sqs:${local.any}:${var.name}-*",
        "wafv2:${local.any}:regional/webacl/${var.name}/*",
        "wafv2:${local.any}:regional/managedruleset/*",
      ] : "${local.arn}:${pattern}"],
    )
  }
}

data "aws_iam_policy_document" "unnamed_read" {
  #checkov:skip=CKV_AWS_356:these have ids that are not known before they are made, or lists are asked for
  statement {
    sid = "Read"
    actions = concat(
      flatten([for service in ["acm", "chatbot", "cloudfront", "elasticloadbalancing", "route53"] : [for verb in ["Describe", "Get", "List"] : "${service}:${verb}*"]]),
      ["cloudwatch:DescribeAlarms", "ec2:Describe*", "kms:DescribeKey", "kms:GetKey*", "kms:List*", "lambda:GetEventSourceMapping", "lambda:ListEventSourceMappings", "lambda:ListTags", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "sns:ListTopics"],
    )
    resources = ["*"]
  }
}

# What has an id in place of a name, or no ARN to ask for. The account should have nothing else in it that matters.
data "aws_iam_policy_document" "unnamed" {
  #checkov:skip=CKV_AWS_109:these have ids that are not known before they are made
  #checkov:skip=CKV_AWS_111:the same
  #checkov:skip=CKV_AWS_356:the same
  statement {
    sid = "ById"
    actions = [
      "acm:*", "chatbot:*", "cloudfront:*",
      "ec2:*InternetGateway*", "ec2:*Route*", "ec2:*SecurityGroup*", "ec2:*Subnet*", "ec2:*Tags", "ec2:*Vpc*", "ec2:Describe*",
      "elasticloadbalancing:Describe*", "elasticloadbalancing:SetWebAcl", "route53:*HealthCheck*",
    ]
    resources = ["*"]
  }
  statement {
    # What hands a queue to a function has an id; which function that is, is a condition.
    sid       = "EventSources"
    actions   = ["lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"]
    resources = ["*"]
    condition {
      test     = "ArnLike"
      variable = "lambda:FunctionArn"
      values   = ["${local.arn}:lambda:${local.any}:function:${var.name}-*"]
    }
  }
  statement {
    sid       = "EventSourceTags"
    actions   = ["lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"]
    resources = ["${local.arn}:lambda:${local.any}:event-source-mapping:*"]
  }
  # AWS takes PutCompositeAlarm from nobody whose right to it is narrower than everything.
  statement {
    sid       = "Lists"
    actions   = ["cloudwatch:DescribeAlarms", "cloudwatch:PutCompositeAlarm", "kms:ListAliases", "lambda:GetAccountSettings", "lambda:ListEventSourceMappings", "logs:*LogDelivery", "logs:DescribeLogGroups", "logs:*ResourcePolicies", "logs:PutResourcePolicy", "sns:ListTopics"]
    resources = ["*"]
  }
  # Records of a zone; the zones themselves are not the root's.
  statement {
    sid       = "Records"
    actions   = ["route53:ChangeResourceRecordSets", "route53:ChangeTagsForResource", "route53:GetChange", "route53:GetHostedZone", "route53:ListHostedZones*", "route53:ListResourceRecordSets", "route53:ListTagsForResource"]
    resources = ["*"]
  }
  # Keys are the service's by their tag, which providers.tf sets. This keeps a mistake from the keys of others, not malice: who may tag a key that
  # is being made may tag any, because AWS cannot tell the two apart.
  statement {
    sid       = "MakeKeys"
    actions   = ["kms:CreateKey", "kms:TagResource"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/service"
      values   = [var.name]
    }
  }
  statement {
    sid       = "OwnKeys"
    actions   = ["kms:*"]
    resources = ["${local.arn}:kms:${local.any}:key/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/service"
      values   = [var.name]
    }
  }
  statement {
    sid       = "Aliases"
    actions   = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
    resources = [for alias in [var.name, "${var.name}-site"] : "${local.arn}:kms:${local.any}:alias/${alias}"]
  }
}
