output "plant_disease" {
  description = "Everything that terraform/gcp puts out: addresses, DNS records, buckets, the secret of the keys."
  value       = module.plant_disease
}
