output "role_arn" {
  description = "ARN of the role that the channel has."
  value       = aws_iam_role.this.arn
}
