output "registry" {
  description = "What `registry` of the root is set to."
  value       = "${data.aws_caller_identity.this.account_id}.dkr.ecr.${var.regions[0]}.${data.aws_partition.this.dns_suffix}/${var.name}"
}

output "state_bucket" {
  description = "Bucket of the state."
  value       = module.state.name
}

output "deploy_role_arn" {
  description = "Role that the pipeline takes."
  value       = one([for deploy in module.deploy : deploy.role_arn])
}

output "permissions_boundary_arn" {
  description = "What `permissions_boundary_arn` of the root is set to, where the pipeline applies it."
  value       = one([for deploy in module.deploy : deploy.boundary_arn])
}
