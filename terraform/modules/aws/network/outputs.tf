output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "Two public subnets in two zones, once they have a way out."
  value       = [for association in aws_route_table_association.public : association.subnet_id]
  # The associations do not wait for the route, and AWS makes no load balancer for the internet without one.
  depends_on = [aws_route.internet]
}
