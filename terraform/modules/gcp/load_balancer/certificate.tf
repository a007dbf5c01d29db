# Authorized by a DNS record, so the certificate is there before the domain points here, and renews itself.
resource "google_certificate_manager_dns_authorization" "domain" {
  project = var.project
  name    = var.name
  domain  = var.domain
  labels  = var.labels
}

resource "google_certificate_manager_certificate" "domain" {
  project = var.project
  name    = var.name
  labels  = var.labels

  managed {
    domains            = [var.domain]
    dns_authorizations = [google_certificate_manager_dns_authorization.domain.id]
  }
}

resource "google_certificate_manager_certificate_map" "domain" {
  project = var.project
  name    = var.name
  labels  = var.labels
}

resource "google_certificate_manager_certificate_map_entry" "domain" {
  project      = var.project
  name         = var.name
  map          = google_certificate_manager_certificate_map.domain.name
  hostname     = var.domain
  certificates = [google_certificate_manager_certificate.domain.id]
  labels       = var.labels
}

locals {
  records = {
    address = { name = "${var.domain}.", type = "A", data = google_compute_global_address.address.address }
    certificate = {
      name = google_certificate_manager_dns_authorization.domain.dns_resource_record[0].name
      type = google_certificate_manager_dns_authorization.domain.dns_resource_record[0].type
      data = google_certificate_manager_dns_authorization.domain.dns_resource_record[0].data
    }
  }
}

resource "google_dns_record_set" "record" {
  for_each = { for purpose in keys(local.records) : purpose => local.records[purpose] if var.zone_name != null }

  project      = var.project
  managed_zone = var.zone_name
  name         = each.value.name
  type         = each.value.type
  ttl          = 300
  rrdatas      = [each.value.data]
}
