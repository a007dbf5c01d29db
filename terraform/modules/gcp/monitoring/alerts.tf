# The names, numbers and severities of docs/monitoring.md. Each policy has a condition for each function, and each condition looks at
# every region by itself.
locals {
  # More of a kind than `threshold` a second, for `minutes`.
  counted = {
    NoModelLoaded   = { metric = "model_unavailable", severity = "page", minutes = 5, text = "requests find no model" }
    ModelLoadFails  = { metric = "model_load_failures", severity = "warning", minutes = 0, text = "a version of the model was refused" }
    LimiterDown     = { metric = "limiter_errors", severity = "page", minutes = 5, text = "rates and quotas are not counted" }
    KeysUnavailable = { metric = "keys_unavailable", severity = "page", minutes = 5, text = "keys cannot be checked" }
  }
  # Milliseconds that are promised for a share of the requests.
  latency = {
    LatencyP95High = { quantile = 95, severity = "page", minutes = 10, ms = { predict = 500, explain = 1000, batch = 10000 } }
    LatencyP99High = { quantile = 99, severity = "warning", minutes = 15, ms = { predict = 1000, explain = 2000, batch = 20000 } }
  }
  functions = keys(var.services)
  of = {
    for function in local.functions :
    function => "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}-${function}\""
  }
  metric = { for name in concat(keys(local.counters), keys(local.distributions)) : name => "metric.type=\"logging.googleapis.com/user/${var.name}/${name}\"" }
}

resource "google_monitoring_alert_policy" "counted" {
  for_each = local.counted

  project               = var.project
  display_name          = "${var.name} ${each.key}"
  combiner              = "OR"
  severity              = local.severity[each.value.severity]
  notification_channels = local.channels[each.value.severity]
  user_labels           = var.labels

  dynamic "conditions" {
    for_each = toset(local.functions)
    content {
      display_name = "${conditions.key}: ${each.value.text}"
      condition_threshold {
        filter          = "${local.metric[each.value.metric]} AND ${local.of[conditions.key]}"
        comparison      = "COMPARISON_GT"
        threshold_value = 0
        duration        = "${each.value.minutes * 60}s"
        aggregations {
          alignment_period     = "300s"
          per_series_aligner   = "ALIGN_RATE"
          cross_series_reducer = "REDUCE_SUM"
          group_by_fields      = ["resource.label.location"]
        }
      }
    }
  }

  documentation {
    subject = "${var.name}: ${each.value.text}"
    content = "${var.runbook_url}#${lower(each.key)}"
  }

  depends_on = [google_logging_metric.counter]
}

resource "google_monitoring_alert_policy" "overloaded" {
  project               = var.project
  display_name          = "${var.name} Overloaded"
  combiner              = "OR"
  severity              = local.severity.page
  notification_channels = local.channels.page
  user_labels           = var.labels

  dynamic "conditions" {
    for_each = toset(local.functions)
    content {
      display_name = "${conditions.key}: more than 1 % of the requests are turned away"
      condition_threshold {
        filter             = "${local.metric.overloaded} AND ${local.of[conditions.key]}"
        denominator_filter = "${local.metric.requests} AND ${local.of[conditions.key]}"
        comparison         = "COMPARISON_GT"
        threshold_value    = 0.01
        duration           = "300s"
        aggregations {
          alignment_period     = "300s"
          per_series_aligner   = "ALIGN_RATE"
          cross_series_reducer = "REDUCE_SUM"
          group_by_fields      = ["resource.label.location"]
        }
        denominator_aggregations {
          alignment_period     = "300s"
          per_series_aligner   = "ALIGN_RATE"
          cross_series_reducer = "REDUCE_SUM"
          group_by_fields      = ["resource.label.location"]
        }
      }
    }
  }

  documentation {
    subject = "${var.name}: more to do than the instances can"
    content = "${var.runbook_url}#overloaded"
  }

  depends_on = [google_logging_metric.counter]
}

resource "google_monitoring_alert_policy" "latency" {
  for_each = local.latency

  project               = var.project
  display_name          = "${var.name} ${each.key}"
  combiner              = "OR"
  severity              = local.severity[each.value.severity]
  notification_channels = local.channels[each.value.severity]
  user_labels           = var.labels

  dynamic "conditions" {
    for_each = each.value.ms
    content {
      display_name = "${conditions.key}: ${100 - each.value.quantile} in 100 take over ${conditions.value} ms"
      condition_threshold {
        filter          = "${local.metric.latency_ms} AND ${local.of[conditions.key]}"
        comparison      = "COMPARISON_GT"
        threshold_value = conditions.value
        duration        = "${each.value.minutes * 60}s"
        aggregations {
          alignment_period     = "300s"
          per_series_aligner   = "ALIGN_DELTA"
          cross_series_reducer = "REDUCE_PERCENTILE_${each.value.quantile}"
          group_by_fields      = ["resource.label.location"]
        }
      }
    }
  }

  documentation {
    subject = "${var.name}: slower than promised"
    content = "${var.runbook_url}#${lower(each.key)}"
  }

  depends_on = [google_logging_metric.distribution]
}
