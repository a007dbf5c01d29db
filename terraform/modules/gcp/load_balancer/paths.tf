locals {
  # As kubernetes/base/ingress.yaml has them. /metrics is not among them.
  paths = {
    predict = concat(
      flatten([for path in ["/predict", "/classes", "/usage", "/uploads", "/uploads/*", "/health/*"] : [path, "/v1${path}"]]),
      ["/docs", "/docs/*", "/openapi.json"],
    )
    # /jobs/work is Pub/Sub's, which has a token.
    batch   = concat(flatten([for path in ["/batch", "/batch/jobs", "/batch/jobs/*"] : [path, "/v1${path}"]]), ["/jobs/work"])
    explain = ["/explain", "/v1/explain"]
  }
  # One of each, which the load balancer's own tests ask for before a change is taken.
  probes = { "/predict" = "predict", "/v1/uploads/a" = "predict", "/health/ready" = "predict", "/batch" = "batch", "/batch/jobs/a/results" = "batch", "/jobs/work" = "batch", "/v1/explain" = "explain" }

  endpoints = merge([
    for function, services in var.services : {
      for region, service in services : "${function}-${region}" => { region = region, service = service }
    }
  ]...)
}

resource "google_compute_url_map" "paths" {
  project         = var.project
  name            = var.name
  default_service = var.page

  host_rule {
    hosts        = [var.domain]
    path_matcher = "paths"
  }

  path_matcher {
    name            = "paths"
    default_service = var.page

    dynamic "path_rule" {
      for_each = local.paths
      content {
        paths   = path_rule.value
        service = google_compute_backend_service.function[path_rule.key].id
      }
    }
  }

  dynamic "test" {
    for_each = local.probes
    content {
      host    = var.domain
      path    = test.key
      service = google_compute_backend_service.function[test.value].id
    }
  }

  test {
    host    = var.domain
    path    = "/metrics"
    service = var.page
  }
}

resource "google_compute_backend_service" "function" {
  for_each = var.services

  project               = var.project
  name                  = "${var.name}-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = var.security_policy

  dynamic "backend" {
    for_each = each.value
    content {
      group = google_compute_region_network_endpoint_group.service["${each.key}-${backend.key}"].id
    }
  }

  # Serverless backends have no health checks. A region that fails five times in a row is left alone for half a minute, then tried again;
  # where there is another one. With two regions that is half of them, and never both.
  dynamic "outlier_detection" {
    for_each = length(each.value) == 2 ? [{ percent = 50 }] : []
    content {
      consecutive_errors                    = 5
      consecutive_gateway_failure           = 5
      enforcing_consecutive_errors          = 100
      enforcing_consecutive_gateway_failure = 100
      max_ejection_percent                  = outlier_detection.value.percent
      interval {
        seconds = 1
      }
      base_ejection_time {
        seconds = 30
      }
    }
  }

  log_config {
    enable      = true
    sample_rate = 1.0
  }
}

resource "google_compute_region_network_endpoint_group" "service" {
  for_each = local.endpoints

  project               = var.project
  name                  = "${var.name}-${each.key}"
  region                = each.value.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = each.value.service
  }
}
