# Usage events: from the functions' logs by Firehose into a bucket, as a table of Athena.
data "aws_iam_policy_document" "assume" {
  for_each = toset(["firehose", "logs"])
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "firehose" {
  statement {
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${var.bucket.arn}/events/*", "${var.bucket.arn}/errors/*"]
  }
  statement {
    actions   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [var.bucket.arn]
  }
  statement {
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

data "aws_iam_policy_document" "logs" {
  statement {
    actions   = ["firehose:PutRecord", "firehose:PutRecordBatch"]
    resources = [aws_kinesis_firehose_delivery_stream.this.arn]
  }
}

resource "aws_iam_role" "this" {
  for_each             = data.aws_iam_policy_document.assume
  name                 = "${var.name}-usage-${each.key}-${var.region}"
  assume_role_policy   = each.value.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "firehose" {
  name   = "bucket"
  role   = aws_iam_role.this["firehose"].id
  policy = data.aws_iam_policy_document.firehose.json
}

resource "aws_iam_role_policy" "logs" {
  name   = "stream"
  role   = aws_iam_role.this["logs"].id
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_kinesis_firehose_delivery_stream" "this" {
  name        = "${var.name}-usage"
  destination = "extended_s3"
  server_side_encryption {
    enabled  = true
    key_type = "CUSTOMER_MANAGED_CMK"
    key_arn  = var.kms_key_arn
  }
  extended_s3_configuration {
    role_arn            = aws_iam_role.this["firehose"].arn
    bucket_arn          = var.bucket.arn
    kms_key_arn         = var.kms_key_arn
    prefix              = "events/dt=!{timestamp:yyyy-MM-dd}/"
    error_output_prefix = "errors/!{firehose:error-output-type}/"
    compression_format  = "GZIP"
    buffering_size      = 64
    buffering_interval  = 300
    # What arrives is a compressed envelope of CloudWatch Logs; what is kept are the lines in it.
    processing_configuration {
      enabled = true
      processors {
        type = "Decompression"
        parameters {
          parameter_name  = "CompressionFormat"
          parameter_value = "GZIP"
        }
      }
      processors {
        type = "CloudWatchLogProcessing"
        parameters {
          parameter_name  = "DataMessageExtraction"
          parameter_value = "true"
        }
      }
      # Athena reads one event a line, and AWS does not say that an extracted message ends its line. An empty line is a row of nulls.
      processors {
        type = "AppendDelimiterToRecord"
        parameters {
          parameter_name  = "Delimiter"
          parameter_value = "\\n"
        }
      }
    }
  }
}

resource "aws_cloudwatch_log_subscription_filter" "this" {
  for_each        = var.log_groups
  name            = "usage"
  log_group_name  = each.value
  filter_pattern  = "{ $.event = \"usage\" }"
  destination_arn = aws_kinesis_firehose_delivery_stream.this.arn
  role_arn        = aws_iam_role.this["logs"].arn
}

resource "aws_glue_catalog_database" "this" {
  name = replace("${var.name}-usage", "-", "_")
}

resource "aws_glue_catalog_table" "this" {
  name          = "events"
  database_name = aws_glue_catalog_database.this.name
  table_type    = "EXTERNAL_TABLE"
  parameters = {
    "projection.enabled"        = "true"
    "projection.dt.type"        = "date"
    "projection.dt.format"      = "yyyy-MM-dd"
    "projection.dt.range"       = "2026-01-01,NOW"
    "storage.location.template" = "s3://${var.bucket.name}/events/dt=$${dt}/"
  }
  partition_keys {
    name = "dt"
    type = "string"
  }
  storage_descriptor {
    location      = "s3://${var.bucket.name}/events/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
    ser_de_info {
      serialization_library = "org.openx.data.jsonserde.JsonSerDe"
    }
    dynamic "columns" {
      for_each = {
        event_id        = "string", time = "string", key_id = "string", endpoint = "string", photos = "int", diagnosed = "int",
        uncertain       = "int", rejected = "int", model_version = "string", request_id = "string",
        idempotency_key = "string", ms = "double", outcome = "string"
      }
      content {
        name = columns.key
        type = columns.value
      }
    }
  }
}

resource "aws_athena_workgroup" "this" {
  name          = "${var.name}-usage"
  force_destroy = !var.deletion_protection
  configuration {
    enforce_workgroup_configuration = true
    result_configuration {
      output_location = "s3://${var.bucket.name}/athena/"
      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.kms_key_arn
      }
    }
  }
}
