# The queue of the chunks of jobs (docs/jobs.md), and who hears when they lie too long. Module function has what takes them out.
locals {
  queues = { chunks = aws_sqs_queue.chunks, dead_letters = aws_sqs_queue.dead_letters }
}

resource "aws_sqs_queue" "chunks" {
  name              = "${var.name}-jobs"
  kms_master_key_id = var.kms_key_arn
  # Six times what the function may take, as AWS advises for event sources.
  visibility_timeout_seconds = 6 * var.timeout_s
  message_retention_seconds  = 14 * 24 * 3600
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    # After ten deliveries the function gives a chunk up by itself; two more are for saying so.
    maxReceiveCount = 12
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-jobs-dead-letters"
  kms_master_key_id         = var.kms_key_arn
  message_retention_seconds = 14 * 24 * 3600
}

resource "aws_sqs_queue_redrive_allow_policy" "this" {
  queue_url = aws_sqs_queue.dead_letters.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.chunks.arn]
  })
}

data "aws_iam_policy_document" "only_tls" {
  for_each = local.queues
  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value.arn]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "only_tls" {
  for_each  = local.queues
  queue_url = each.value.id
  policy    = data.aws_iam_policy_document.only_tls[each.key].json
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = {
    jobs-late         = { queue = aws_sqs_queue.chunks.name, metric = "ApproximateAgeOfOldestMessage", threshold = var.late_after_s, of = 5 }
    jobs-dead-letters = { queue = aws_sqs_queue.dead_letters.name, metric = "ApproximateNumberOfMessagesVisible", threshold = 0, of = 1 }
  }
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${var.runbook_url} (${each.key} in ${var.region})"
  namespace           = "AWS/SQS"
  metric_name         = each.value.metric
  dimensions          = { QueueName = each.value.queue }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.of
  datapoints_to_alarm = min(3, each.value.of)
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
