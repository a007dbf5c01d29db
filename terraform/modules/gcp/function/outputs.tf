output "services" {
  description = "For each region the name of the Cloud Run service."
  value       = { for region, service in google_cloud_run_v2_service.function : region => service.name }
}
