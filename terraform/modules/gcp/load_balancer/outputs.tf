output "address" {
  description = "Address of the load balancer."
  value       = google_compute_global_address.address.address
}

output "records" {
  description = "DNS records of the domain: of its address and of its certificate."
  value       = local.records
}
