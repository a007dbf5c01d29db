output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "Two public subnets in two zones, once they have a way out."
  value       = [for association in aws_route_table_association.public : association.subnet_id]
}
