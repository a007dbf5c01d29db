output "key_arn" {
  description = "Key of the region."
  value       = module.encryption.key_arn
}

output "load_balancer" {
  description = "Its arn, dns_name and zone_id."
  value       = module.load_balancer
}

output "buckets" {
  description = "The buckets."
  value       = { for key, bucket in module.bucket : key => { name = bucket.name, arn = bucket.arn, kms_key_arn = module.encryption.key_arn, domain = bucket.regional_domain_name } }
}

output "functions" {
  description = "Names of the functions."
  value       = { for key, function in module.function : key => function.name }
}

output "usage" {
  description = "Table and workgroup of Athena."
  value       = { table = module.usage.table, workgroup = module.usage.workgroup }
}

output "dashboard_url" {
  description = "The dashboard."
  value       = module.monitoring.dashboard_url
}

output "alarms" {
  description = "Names of the alarms."
  value       = concat(module.monitoring.alarms, flatten([for jobs in module.jobs : jobs.alarms]))
}

output "images" {
  description = "What runs."
  value       = { for key, instance in local.instances : key => instance.image }
}

output "notifications" {
  description = "Topics for what can wait (warning) and what cannot (page)."
  value       = module.notifications
}
