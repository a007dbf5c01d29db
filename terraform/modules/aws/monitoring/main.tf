# The alarms of one region and its dashboard: docs/monitoring.md says what each is about, and its anchor in the runbook what to do.
locals {
  # What a function promises of 95 in 100 requests, and twice that of 99; a canary promises the same.
  p95_ms = { predict = 500, explain = 1000, batch = 10000 }

  of_functions = merge([
    for key, function in var.functions : { for kind, alarm in {
      errors      = { severity = "warning", anchor = "errorbudgetburnsfast", namespace = "AWS/Lambda", metric = "Errors", threshold = 5, dimensions = { FunctionName = function.name } }
      throttles   = { severity = "page", anchor = "overloaded", namespace = "AWS/Lambda", metric = "Throttles", dimensions = { FunctionName = function.name } }
      "5xx"       = { severity = "warning", anchor = "errorbudgetburnsfast", statistic = "SampleCount", threshold = 5, dimensions = { status_class = "5xx" } }
      latency     = { severity = "page", anchor = "latencyp95high", statistic = "p95", threshold = local.p95_ms[function.function], dimensions = {} }
      latency-p99 = { severity = "warning", anchor = "latencyp99high", statistic = "p99", threshold = 2 * local.p95_ms[function.function], dimensions = {} }
      # The youngest age of all instances: one that has slept is old for a moment, and no fault.
      model-stale = { severity = "warning", anchor = "modelstale", namespace = "PlantDisease", metric = "channel_age_s", statistic = "Minimum", threshold = 900, dimensions = { function = function.name } }
      overloaded  = { severity = "page", anchor = "overloaded", statistic = "SampleCount", dimensions = { code = "overloaded" } }
      no-model    = { severity = "page", anchor = "nomodelloaded", statistic = "SampleCount", dimensions = { code = "model_unavailable" } }
      keys        = { severity = "page", anchor = "keysunavailable", statistic = "SampleCount", dimensions = { code = "keys_unavailable" } }
      limits      = { severity = "page", anchor = "limiterdown", statistic = "SampleCount", dimensions = { limit = "error" } }
      model-loads = { severity = "warning", anchor = "modelloadfails", namespace = "PlantDisease", metric = "model_load_failures", dimensions = { function = function.name } }
      # What crashes, takes too long, or answers more than the load balancer takes (1 MB).
      bad-answers = { severity = "warning", anchor = "errorbudgetburnsfast", namespace = "AWS/ApplicationELB", metric = "LambdaUserError", threshold = 5, dimensions = { TargetGroup = function.target_group, LoadBalancer = var.load_balancer } }
      } : "${key}-${kind}" => merge(
      { namespace = "PlantDisease", metric = "ms", statistic = "Sum", threshold = 0 }, alarm,
      { dimensions = try(alarm.namespace, null) == null ? merge({ function = function.name, route = "/${function.function}" }, alarm.dimensions) : alarm.dimensions },
    ) }
  ]...)

  # Lambda has no hosts that could be unhealthy: module site looks at the region from outside.
  of_region = {
    balancer-5xx  = { severity = "page", anchor = "sitedown", namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", statistic = "Sum", threshold = 5, dimensions = { LoadBalancer = var.load_balancer } }
    certificate   = { severity = "warning", anchor = "certificateexpiressoon", namespace = "AWS/CertificateManager", metric = "DaysToExpiry", statistic = "Minimum", threshold = 21, below = true, period = 86400, of = 1, dimensions = { CertificateArn = var.certificate_arn } }
    usage-late    = { severity = "warning", anchor = "", namespace = "AWS/Firehose", metric = "DeliveryToS3.DataFreshness", statistic = "Maximum", threshold = 900, period = 300, dimensions = { DeliveryStreamName = var.usage_stream } }
    usage-failing = { severity = "warning", anchor = "", namespace = "AWS/Firehose", metric = "DeliveryToS3.Success", statistic = "Average", threshold = 1, below = true, period = 300, dimensions = { DeliveryStreamName = var.usage_stream } }
  }

  alarms = { for key, alarm in merge(local.of_functions, local.of_region) : key => merge({ below = false, period = 60, of = 5 }, alarm) }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${var.runbook_url}${each.value.anchor == "" ? "" : "#${each.value.anchor}"} (${each.key} in ${var.region})"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.below ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.of
  datapoints_to_alarm = min(3, each.value.of)
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.notifications[each.value.severity]
  ok_actions          = var.notifications[each.value.severity]
}

# Wakes somebody once, not for each of its parts.
resource "aws_cloudwatch_composite_alarm" "this" {
  for_each          = var.functions
  alarm_name        = "${var.name}-${each.key}-failing"
  alarm_description = "Callers of ${each.key} get errors in ${var.region}: ${var.runbook_url}#errorbudgetburnsfast"
  alarm_rule        = join(" OR ", [for kind in ["errors", "5xx", "bad-answers"] : "ALARM(\"${aws_cloudwatch_metric_alarm.this["${each.key}-${kind}"].alarm_name}\")"])
  alarm_actions     = var.notifications.page
  ok_actions        = var.notifications.page
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "${var.name}-${var.region}"
  dashboard_body = jsonencode({
    widgets = [
      for number, metric in [["Invocations", "Sum"], ["Errors", "Sum"], ["Duration", "p95"], ["ConcurrentExecutions", "Maximum"]] : {
        type = "metric", x = 12 * (number % 2), y = 6 * floor(number / 2), width = 12, height = 6
        properties = {
          title   = metric[0], region = var.region, stat = metric[1], period = 60
          metrics = [for function in values(var.functions) : ["AWS/Lambda", metric[0], "FunctionName", function.name]]
        }
      }
    ]
  })
}
