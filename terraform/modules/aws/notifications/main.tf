# Who is told, in one region: email of everything, telephones of what cannot wait.
data "aws_partition" "this" {}

locals {
  # An alarm that cannot wait goes to both, so that an address confirms one subscription.
  topics = {
    alerts = { for address in var.email : address => "email" }
    pages  = { for number in var.sms : number => "sms" }
  }
  subscriptions = merge([for topic, endpoints in local.topics : { for endpoint, protocol in endpoints : endpoint => { topic = topic, protocol = protocol } }]...)
}

resource "aws_sns_topic" "this" {
  for_each          = local.topics
  name              = "${var.name}-${each.key}"
  kms_master_key_id = var.kms_key_arn
}

data "aws_iam_policy_document" "this" {
  for_each = aws_sns_topic.this
  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = [each.value.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.this.partition}:cloudwatch:${var.region}:${var.account_id}:alarm:*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  for_each = aws_sns_topic.this
  arn      = each.value.arn
  policy   = data.aws_iam_policy_document.this[each.key].json
}

resource "aws_sns_topic_subscription" "this" {
  for_each  = local.subscriptions
  topic_arn = aws_sns_topic.this[each.value.topic].arn
  protocol  = each.value.protocol
  endpoint  = each.key
}
