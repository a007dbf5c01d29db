output "repositories" {
  description = "Names of the repositories."
  value       = { for function, repository in aws_ecr_repository.this : function => repository.name }
}
