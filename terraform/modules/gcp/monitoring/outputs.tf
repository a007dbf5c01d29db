output "dashboard_url" {
  description = "Address of the dashboard."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${element(split("/", google_monitoring_dashboard.service.id), -1)}?project=${var.project}"
}

output "warning_channels" {
  description = "Notification channels of what can wait."
  value       = local.warning
}

output "email_channels" {
  description = "Notification channels of the email addresses."
  value       = local.emails
}
