# Alarms in a Slack channel, by Amazon Q Developer in chat applications (once AWS Chatbot).
data "aws_partition" "this" {}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["chatbot.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_356:CloudWatch has no resources to name for reading metrics
  statement {
    sid       = "Graphs"
    actions   = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "this" {
  name                 = "${var.name}-chat"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "this" {
  name   = "graphs"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_chatbot_slack_channel_configuration" "this" {
  configuration_name = var.name
  slack_team_id      = var.slack_workspace_id
  slack_channel_id   = var.slack_channel_id
  iam_role_arn       = aws_iam_role.this.arn
  # Left out, whoever is in the channel could do whatever the role may, up to everything.
  guardrail_policy_arns = ["arn:${data.aws_partition.this.partition}:iam::aws:policy/CloudWatchReadOnlyAccess"]
  sns_topic_arns        = var.topic_arns
  logging_level         = "ERROR"
  depends_on            = [aws_iam_role_policy.this]
}
