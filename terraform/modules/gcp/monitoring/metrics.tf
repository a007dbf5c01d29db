# Metrics from the lines that the functions log (docs/telemetry.md): Cloud Run has nobody who could scrape them.
locals {
  lines = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^${var.name}-(predict|batch|explain)$\""
  work  = "jsonPayload.route:* AND NOT jsonPayload.route=~\"^/health|^/metrics$|^other$\""

  counters = {
    requests            = local.work
    failures            = "${local.work} AND jsonPayload.status>=500"
    overloaded          = "jsonPayload.code=\"overloaded\""
    model_unavailable   = "jsonPayload.code=\"model_unavailable\""
    model_load_failures = "jsonPayload.model_load_failures=1"
    limiter_errors      = "jsonPayload.limit=\"error\""
    keys_unavailable    = "jsonPayload.code=\"keys_unavailable\""
    decisions_diagnosed = "jsonPayload.decision=\"diagnosed\""
    decisions_uncertain = "jsonPayload.decision=\"uncertain\""
    decisions_rejected  = "jsonPayload.decision=\"rejected\""
    billed_requests     = "jsonPayload.event=\"usage\""
  }
  distributions = {
    latency_ms    = { filter = "${local.work} AND jsonPayload.route=~\"^/(predict|batch|explain)$\" AND jsonPayload.status=200", field = "ms" }
    model_ms      = { filter = "jsonPayload.model_ms:*", field = "model_ms" }
    cold_start_ms = { filter = "jsonPayload.cold_start_ms:*", field = "cold_start_ms" }
  }
}

resource "google_logging_metric" "counter" {
  for_each = local.counters

  project = var.project
  name    = "${var.name}/${each.key}"
  filter  = "${local.lines} AND ${each.value}"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_logging_metric" "distribution" {
  for_each = local.distributions

  project         = var.project
  name            = "${var.name}/${each.key}"
  filter          = "${local.lines} AND ${each.value.filter}"
  value_extractor = "EXTRACT(jsonPayload.${each.value.field})"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "ms"
  }

  # From 1 ms to about 100 s, a third more each time.
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 1.333
      scale              = 1
    }
  }
}

resource "google_logging_project_bucket_config" "default" {
  project        = var.project
  location       = "global"
  bucket_id      = "_Default"
  retention_days = var.log_retention_days
}
