output "url" {
  description = "Address of the page."
  value       = "https://${var.domain}/"
}

output "api_url" {
  description = "Address of the functions."
  value       = "https://api.${var.domain}"
}

output "models_bucket" {
  description = "Bucket of the models: publish to s3://BUCKET/models."
  value       = module.primary.buckets["models"].name
}

output "uploads_bucket" {
  description = "Bucket of the photos that are uploaded first, in the first region."
  value       = module.primary.buckets["uploads"].name
}

output "keys_uri" {
  description = "PLANT_API_KEYS_URI for the command line."
  value       = "s3://${module.primary.buckets["keys"].name}/keys.json"
}

output "usage" {
  description = "Table and workgroup of Athena, in each region."
  value       = { for key, region in local.regions : key => region.usage }
}

output "functions" {
  description = "Names of the functions, in each region."
  value       = { for key, region in local.regions : key => region.functions }
}

output "images" {
  description = "What runs in each region, canaries too."
  value       = { for key, region in local.regions : key => region.images }
}

output "image_digests" {
  description = "What is live, by function, without canaries; pipelines read it."
  value       = local.digests
}

output "alarms" {
  description = "Names of the alarms, in each region and of the whole site."
  value       = merge({ for key, region in local.regions : key => region.alarms }, { site = module.site.alarms })
}

output "dashboard_url" {
  description = "Address of the dashboard."
  value       = module.primary.dashboard_url
}

output "load_balancers" {
  description = "Host names of the load balancers."
  value       = { for key, region in local.regions : key => region.load_balancer.dns_name }
}
