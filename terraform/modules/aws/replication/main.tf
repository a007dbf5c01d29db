# What is written to one bucket is in the other one, in 15 minutes at most (replication time control).
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "this" {
  statement {
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [var.source_bucket.arn]
  }
  statement {
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = ["${var.source_bucket.arn}/*"]
  }
  statement {
    actions   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
    resources = ["${var.destination_bucket.arn}/*"]
  }
  statement {
    actions   = ["kms:Decrypt"]
    resources = [var.source_bucket.kms_key_arn]
  }
  statement {
    actions   = ["kms:Encrypt"]
    resources = [var.destination_bucket.kms_key_arn]
  }
}

resource "aws_iam_role" "this" {
  name                 = "${var.name}-replication"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "this" {
  name   = "replication"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_s3_bucket_replication_configuration" "this" {
  bucket = var.source_bucket.name
  role   = aws_iam_role.this.arn

  rule {
    id       = "all"
    status   = "Enabled"
    priority = 0
    filter {}
    # What is deleted in one region by mistake stays in the other.
    delete_marker_replication {
      status = "Disabled"
    }
    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }
    destination {
      bucket        = var.destination_bucket.arn
      storage_class = "STANDARD"
      encryption_configuration {
        replica_kms_key_id = var.destination_bucket.kms_key_arn
      }
      replication_time {
        status = "Enabled"
        time {
          minutes = 15
        }
      }
      metrics {
        status = "Enabled"
        event_threshold {
          minutes = 15
        }
      }
    }
  }
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = {
    late   = { metric = "ReplicationLatency", statistic = "Maximum", threshold = 900 }
    failed = { metric = "OperationsFailedReplication", statistic = "Sum", threshold = 0 }
  }
  alarm_name          = "${var.name}-replication-${each.key}"
  alarm_description   = "What is written to ${var.source_bucket.name} is not in ${var.destination_bucket.name} in time: ${var.runbook_url}"
  namespace           = "AWS/S3"
  metric_name         = each.value.metric
  dimensions          = { SourceBucket = var.source_bucket.name, DestinationBucket = var.destination_bucket.name, RuleId = "all" }
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
