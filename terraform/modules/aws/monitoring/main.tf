# Alarms of one region, who is told, and a dashboard.
locals {
  p95_ms = { predict = 500, explain = 1000, batch = 10000 }
  alarms = merge([
    for function, name in var.functions : {
      "${function}-errors"      = { namespace = "AWS/Lambda", metric = "Errors", statistic = "Sum", threshold = 5, dimensions = { FunctionName = name }, function = function }
      "${function}-throttles"   = { namespace = "AWS/Lambda", metric = "Throttles", statistic = "Sum", threshold = 0, dimensions = { FunctionName = name }, function = function }
      "${function}-5xx"         = { namespace = "PlantDisease", metric = "ms", statistic = "SampleCount", threshold = 5, dimensions = { function = name, route = "/${function}", status_class = "5xx" }, function = function }
      "${function}-latency"     = { namespace = "PlantDisease", metric = "ms", statistic = "p95", threshold = local.p95_ms[function], dimensions = { function = name, route = "/${function}" }, function = function }
      "${function}-model-loads" = { namespace = "PlantDisease", metric = "model_load_failures", statistic = "Sum", threshold = 0, dimensions = { function = name }, function = function }
    }
  ]...)
}

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alerts"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_subscription" "this" {
  for_each  = merge({ for to in var.email : to => "email" }, { for to in var.sms : to => "sms" })
  topic_arn = aws_sns_topic.this.arn
  protocol  = each.value
  endpoint  = each.key
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${var.runbook_url} (${var.region})"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic == "p95" ? null : each.value.statistic
  extended_statistic  = each.value.statistic == "p95" ? "p95" : null
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}

# Wakes somebody once, not for each of its parts.
resource "aws_cloudwatch_composite_alarm" "this" {
  for_each          = var.functions
  alarm_name        = "${var.name}-${each.key}-failing"
  alarm_description = "Callers of ${each.key} get errors in ${var.region}: ${var.runbook_url}"
  alarm_rule        = join(" OR ", [for kind in ["errors", "5xx"] : "ALARM(\"${aws_cloudwatch_metric_alarm.this["${each.key}-${kind}"].alarm_name}\")"])
  alarm_actions     = [aws_sns_topic.this.arn]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "${var.name}-${var.region}"
  dashboard_body = jsonencode({
    widgets = [
      for number, metric in [["Invocations", "Sum"], ["Errors", "Sum"], ["Duration", "p95"], ["ConcurrentExecutions", "Maximum"]] : {
        type = "metric", x = 12 * (number % 2), y = 6 * floor(number / 2), width = 12, height = 6
        properties = {
          title   = metric[0], region = var.region, stat = metric[1], period = 60
          metrics = [for name in values(var.functions) : ["AWS/Lambda", metric[0], "FunctionName", name]]
        }
      }
    ]
  })
}
