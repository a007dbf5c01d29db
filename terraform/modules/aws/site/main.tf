# The service as callers see it. Route 53 publishes what its health checks see in us-east-1 alone.
resource "aws_cloudwatch_metric_alarm" "region" {
  for_each            = var.health_checks
  alarm_name          = "${var.name}-site-${each.key}"
  alarm_description   = "/health/ready of ${each.key} does not answer; with two regions the other one does: ${var.runbook_url}#sitedown"
  namespace           = "AWS/Route53"
  metric_name         = "HealthCheckStatus"
  dimensions          = { HealthCheckId = each.value }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "breaching"
  alarm_actions       = var.notifications.warning
  ok_actions          = var.notifications.warning
}

# A region that is lost is a warning, because callers are sent to the other one. That nobody is served wakes somebody.
resource "aws_cloudwatch_composite_alarm" "down" {
  alarm_name        = "${var.name}-site-down"
  alarm_description = "No region answers: ${var.runbook_url}#sitedown"
  alarm_rule        = join(" AND ", [for alarm in aws_cloudwatch_metric_alarm.region : "ALARM(\"${alarm.alarm_name}\")"])
  alarm_actions     = var.notifications.page
  ok_actions        = var.notifications.page
}
