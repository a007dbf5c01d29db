output "arn" {
  description = "ARN of the load balancer."
  value       = aws_lb.this.arn
}

output "arn_suffix" {
  description = "What its metrics call it."
  value       = aws_lb.this.arn_suffix
}

output "dns_name" {
  description = "Its own host name."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "Zone for alias records."
  value       = aws_lb.this.zone_id
}

output "target_groups" {
  description = "What metrics call the target groups."
  value       = { for key, group in aws_lb_target_group.this : key => group.arn_suffix }
}
