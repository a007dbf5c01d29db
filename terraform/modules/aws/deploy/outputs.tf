output "role_arns" {
  description = "Roles that the pipeline takes: plan and deploy."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "boundary_arn" {
  description = "Policy that bounds every role that deploy makes."
  value       = aws_iam_policy.boundary.arn
}
