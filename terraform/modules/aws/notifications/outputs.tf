output "warning" {
  description = "Topics for what can wait."
  value       = [aws_sns_topic.this["alerts"].arn]
  depends_on  = [aws_sns_topic_policy.this]
}

output "page" {
  description = "Topics for what cannot wait."
  value       = [for topic in aws_sns_topic.this : topic.arn]
  depends_on  = [aws_sns_topic_policy.this]
}
