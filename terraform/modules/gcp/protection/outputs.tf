output "policy" {
  description = "Id of the security policy, for backends."
  value       = google_compute_security_policy.edge.id
}
