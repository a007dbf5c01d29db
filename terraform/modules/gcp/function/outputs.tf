output "services" {
  description = "For each region the name of the Cloud Run service."
  value       = { for region, service in google_cloud_run_v2_service.function : region => service.name }
}

output "service_account" {
  description = "Email address of the identity of the function."
  value       = google_service_account.function.email
}

output "member" {
  description = "The same as a member of IAM policies."
  value       = google_service_account.function.member
}
