output "plant_disease" {
  description = "Everything that terraform/aws puts out: addresses, buckets, names, alarms."
  value       = module.plant_disease
}
