output "role_arn" {
  description = "Role that the pipeline takes."
  value       = aws_iam_role.this.arn
}

output "boundary_arn" {
  description = "Policy that bounds every role it makes."
  value       = aws_iam_policy.boundary.arn
}
