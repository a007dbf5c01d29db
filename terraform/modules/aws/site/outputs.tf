output "alarms" {
  description = "Names of the alarms."
  value       = concat([for alarm in aws_cloudwatch_metric_alarm.region : alarm.alarm_name], [aws_cloudwatch_composite_alarm.down.alarm_name])
}
