output "state_bucket" {
  description = "Bucket for the state of the root: backend \"s3\" with use_lockfile = true."
  value       = module.state.name
}

output "registry" {
  description = "The root's variable registry."
  value       = "${data.aws_caller_identity.this.account_id}.dkr.ecr.${var.regions[0]}.amazonaws.com/${var.name}"
}
