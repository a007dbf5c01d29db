output "queue_arn" {
  description = "The queue of the chunks."
  value       = aws_sqs_queue.chunks.arn
}

output "setting" {
  description = "What PLANT_JOBS_QUEUE is set to."
  value       = "sqs:${aws_sqs_queue.chunks.url}"
}

output "alarms" {
  description = "Names of the alarms."
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name]
}
