output "health_check_ids" {
  description = "Health check of each region."
  value       = { for key, check in aws_route53_health_check.this : key => check.id }
}
