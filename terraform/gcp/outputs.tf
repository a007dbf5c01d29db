output "url" {
  description = "Address of the page."
  value       = "https://${var.domain}/"
}

output "api_url" {
  description = "Address of the functions."
  value       = "https://${var.domain}"
}

output "address" {
  description = "Address of the load balancer."
  value       = module.load_balancer.address
}

output "records" {
  description = "DNS records of the domain, to be set by a person where there is no zone_name."
  value       = module.load_balancer.records
}

output "services" {
  description = "For each function and region the name of the Cloud Run service."
  value       = local.services
}

output "image_digests" {
  description = "For each function the digest of the image that is live; a canary's is not among them. pipelines/release.py reads it."
  value       = local.digests
}

output "models_bucket" {
  description = "Bucket of the models."
  value       = module.models.bucket
}

output "uploads_bucket" {
  description = "Bucket of the photos that are uploaded first."
  value       = module.uploads.bucket
}

output "usage_uri" {
  description = "Where usage events are kept as files."
  value       = module.usage.uri
}

output "usage_table" {
  description = "Table of the usage events in BigQuery."
  value       = module.usage.table
}

output "keys_secret" {
  description = "Secret that has the document of the API keys."
  value       = module.keys.secret
}

output "dashboard_url" {
  description = "Address of the dashboard."
  value       = module.monitoring.dashboard_url
}
