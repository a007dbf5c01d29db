# One address for the whole world; requests go to the nearest region that answers.
resource "google_compute_global_address" "address" {
  project = var.project
  name    = var.name
  labels  = var.labels
}

resource "google_compute_global_forwarding_rule" "https" {
  project               = var.project
  name                  = "${var.name}-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.address.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.https.id
  labels                = var.labels
}

resource "google_compute_target_https_proxy" "https" {
  project         = var.project
  name            = var.name
  url_map         = google_compute_url_map.paths.id
  certificate_map = "//certificatemanager.googleapis.com/${google_certificate_manager_certificate_map.domain.id}"
  ssl_policy      = google_compute_ssl_policy.modern.id
}

resource "google_compute_ssl_policy" "modern" {
  project         = var.project
  name            = var.name
  min_tls_version = "TLS_1_2"
  profile         = "RESTRICTED"
}

resource "google_compute_global_forwarding_rule" "http" {
  project               = var.project
  name                  = "${var.name}-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.address.id
  port_range            = "80"
  target                = google_compute_target_http_proxy.redirect.id
  labels                = var.labels
}

resource "google_compute_target_http_proxy" "redirect" {
  project = var.project
  name    = "${var.name}-redirect"
  url_map = google_compute_url_map.redirect.id
}

resource "google_compute_url_map" "redirect" {
  project = var.project
  name    = "${var.name}-redirect"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "PERMANENT_REDIRECT"
    strip_query            = false
  }
}
