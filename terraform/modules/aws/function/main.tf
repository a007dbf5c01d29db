# One Lambda function from an image digest, with a role of its own. Callers use the alias `live`.
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "this" {
  #checkov:skip=CKV_AWS_111:the only "*" is that of X-Ray, which has no resources to name for writing
  #checkov:skip=CKV_AWS_356:the only "*" is that of X-Ray, which has no resources to name for writing
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
  dynamic "statement" {
    for_each = var.traces ? ["Traces"] : []
    content {
      sid       = statement.value
      actions   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      resources = ["*"]
    }
  }
  dynamic "statement" {
    for_each = var.permissions
    content {
      sid       = statement.key
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = "${var.name}-${var.region}"
  assume_role_policy   = data.aws_iam_policy_document.assume.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "this" {
  name   = "function"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:log_retention_days decides; usage is kept elsewhere for longer
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_116:only called synchronously: whoever calls hears of the failure
  #checkov:skip=CKV_AWS_117:needs no network: buckets and tables are reached by its role
  #checkov:skip=CKV_AWS_272:code signing is for zip archives; the image is given by digest
  #checkov:skip=CKV_AWS_115:max_instances reserves concurrency where it is set; an account's quota may be too small to reserve from
  function_name                  = var.name
  role                           = aws_iam_role.this.arn
  package_type                   = "Image"
  image_uri                      = var.image
  architectures                  = ["x86_64"]
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_s
  reserved_concurrent_executions = coalesce(var.max_instances, -1)
  publish                        = true
  kms_key_arn                    = var.kms_key_arn

  environment {
    variables = var.environment
  }
  tracing_config {
    mode = var.traces ? "Active" : "PassThrough"
  }
  lifecycle {
    precondition {
      condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
      error_message = "A function is made from an image digest, not from a tag."
    }
  }
  depends_on = [aws_iam_role_policy.this, aws_cloudwatch_log_group.this]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

# One message at a time: it is as much as an invocation has time for. The function says itself what is to come again.
resource "aws_lambda_event_source_mapping" "queue" {
  for_each                = { for name, queue in { queue = var.queue } : name => queue if queue != null }
  event_source_arn        = each.value.arn
  function_name           = aws_lambda_alias.live.arn
  batch_size              = 1
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = each.value.max_concurrency
  }
}

resource "aws_lambda_provisioned_concurrency_config" "this" {
  for_each                          = toset(var.min_instances > 0 ? ["live"] : [])
  function_name                     = aws_lambda_function.this.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.min_instances
}
