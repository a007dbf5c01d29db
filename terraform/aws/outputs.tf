output "url" {
  description = "The page."
  value       = "https://${var.domain}"
}

output "api_url" {
  description = "The functions."
  value       = "https://api.${var.domain}"
}

output "models_bucket" {
  description = "Publish models here: s3://BUCKET/models."
  value       = module.primary.buckets["models"].name
}

output "uploads_bucket" {
  description = "Where originals are uploaded to."
  value       = module.primary.buckets["uploads"].name
}

output "keys_uri" {
  description = "PLANT_API_KEYS_URI for the command line."
  value       = "s3://${module.primary.buckets["keys"].name}/keys.json"
}

output "usage" {
  description = "Table and workgroup of Athena."
  value       = module.primary.usage
}

output "functions" {
  description = "Names of the functions by region."
  value       = merge({ primary = module.primary.functions }, { for key, region in module.standby : key => region.functions })
}

output "alarms" {
  description = "Names of the alarms by region."
  value       = merge({ primary = module.primary.alarms }, { for key, region in module.standby : key => region.alarms })
}

output "images" {
  description = "What runs, by region."
  value       = merge({ primary = module.primary.images }, { for key, region in module.standby : key => region.images })
}

output "dashboard_url" {
  description = "The dashboard."
  value       = module.primary.dashboard_url
}

output "load_balancers" {
  description = "Their own host names."
  value       = { for key, region in local.load_balancers : key => region.dns_name }
}
