output "registry" {
  description = "What `registry` of the root is set to, and variable REGISTRY of the repository."
  value       = "${data.aws_caller_identity.this.account_id}.dkr.ecr.${var.regions[0]}.${data.aws_partition.this.dns_suffix}/${var.name}"
}

output "state_bucket" {
  description = "Bucket of the state: variable STATE_BUCKET of the repository, and `-backend-config=bucket=…` of the root."
  value       = module.state.name
}

output "plan_role_arn" {
  description = "Variable DEPLOY_ROLE_ARN of the repository: builds, pushes and plans."
  value       = one([for deploy in module.deploy : deploy.role_arns["plan"]])
}

output "deploy_role_arn" {
  description = "Variable DEPLOY_ROLE_ARN of the environment, where it has precedence: applies."
  value       = one([for deploy in module.deploy : deploy.role_arns["deploy"]])
}

output "permissions_boundary_arn" {
  description = "What `permissions_boundary_arn` of the root is set to, where the pipeline applies it."
  value       = one([for deploy in module.deploy : deploy.boundary_arn])
}
