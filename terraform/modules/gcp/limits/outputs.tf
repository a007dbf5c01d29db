output "subnets" {
  description = "For each region the subnetwork through which functions reach Redis."
  value       = { for region, subnet in google_compute_subnetwork.functions : region => subnet.id }
}

output "secret_environment" {
  description = "For each region the variable of the functions and its secret."
  value = {
    for region in var.regions : region => { PLANT_LIMITS_URI = google_secret_manager_secret.limits["${var.name}-limits-${region}"].secret_id }
  }

  depends_on = [google_secret_manager_secret_version.limits, google_secret_manager_secret_iam_member.readers]
}

output "secret_files" {
  description = "For each region the certificate of Redis and its secret."
  value = {
    for region in var.regions : region => {
      limits = { folder = local.folder, file = "redis.pem", secret = google_secret_manager_secret.limits["${var.name}-limits-certificate-${region}"].secret_id }
    }
  }

  depends_on = [google_secret_manager_secret_version.limits, google_secret_manager_secret_iam_member.readers]
}
