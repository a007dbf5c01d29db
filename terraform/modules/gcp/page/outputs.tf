output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.page.name
}

output "backend" {
  description = "Id of the load balancer's way to the bucket."
  value       = google_compute_backend_bucket.page.id
}
