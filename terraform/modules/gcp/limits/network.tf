# The way from the functions to Redis, and nothing else: nobody is let in, and what is public is not reached through it.
resource "google_compute_network" "private" {
  #checkov:skip=CKV2_GCP_18: a network without rules lets nobody in, and no machine is in it
  project                 = var.project
  name                    = var.name
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "functions" {
  #checkov:skip=CKV_GCP_76: addresses are IPv4 alone
  for_each = { for index, region in var.regions : region => cidrsubnet("10.64.0.0/16", 4, index) }

  project                  = var.project
  name                     = "${var.name}-functions"
  region                   = each.key
  network                  = google_compute_network.private.id
  ip_cidr_range            = each.value
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = 0.1
    metadata             = "EXCLUDE_ALL_METADATA"
  }
}
