# 99.5 % of the requests for work are not answered 5xx, over 30 days (docs/monitoring.md).
resource "google_monitoring_custom_service" "function" {
  for_each = var.services

  project      = var.project
  service_id   = "${var.name}-${each.key}"
  display_name = "${var.name} ${each.key}"
}

resource "google_monitoring_slo" "availability" {
  for_each = var.services

  project             = var.project
  service             = google_monitoring_custom_service.function[each.key].service_id
  slo_id              = "availability"
  display_name        = "99.5 % of ${each.key} without 5xx in 30 days"
  goal                = 0.995
  rolling_period_days = 30

  request_based_sli {
    good_total_ratio {
      total_service_filter = "${local.metric.requests} AND ${local.of[each.key]}"
      bad_service_filter   = "${local.metric.failures} AND ${local.of[each.key]}"
    }
  }

  depends_on = [google_logging_metric.counter]
}

locals {
  # Both windows must burn: the long one says that it matters, the short one that it still goes on. Rates of the SRE workbook.
  burns = {
    "1h" = { alert = "ErrorBudgetBurnsFast", severity = "page", rate = 14.4, long_s = 3600, short_s = 300 }
    "6h" = { alert = "ErrorBudgetBurnsFast", severity = "page", rate = 6, long_s = 6 * 3600, short_s = 1800 }
    "1d" = { alert = "ErrorBudgetBurnsSlowly", severity = "warning", rate = 3, long_s = 24 * 3600, short_s = 2 * 3600 }
    "3d" = { alert = "ErrorBudgetBurnsSlowly", severity = "warning", rate = 1, long_s = 3 * 24 * 3600, short_s = 6 * 3600 }
  }
  burning = merge([
    for function in local.functions : { for window, burn in local.burns : "${function}-${window}" => merge(burn, { function = function, window = window }) }
  ]...)
}

resource "google_monitoring_alert_policy" "burn" {
  for_each = local.burning

  project               = var.project
  display_name          = "${var.name} ${each.value.alert} ${each.value.function} ${each.value.window}"
  combiner              = "AND"
  severity              = local.severity[each.value.severity]
  notification_channels = local.channels[each.value.severity]
  user_labels           = var.labels

  dynamic "conditions" {
    for_each = [each.value.long_s, each.value.short_s]
    content {
      display_name = "${each.value.function}: burns ${each.value.rate} times too fast over ${conditions.value} s"
      condition_threshold {
        filter          = "select_slo_burn_rate(\"${google_monitoring_slo.availability[each.value.function].id}\", \"${conditions.value}s\")"
        comparison      = "COMPARISON_GT"
        threshold_value = each.value.rate
        duration        = "0s"
      }
    }
  }

  # Nobody is woken for fewer than five failures in all: of few requests at night one that fails is a large share.
  dynamic "conditions" {
    for_each = each.value.severity == "page" ? [5] : []
    content {
      display_name = "${each.value.function}: at least ${conditions.value} failures in six hours"
      condition_threshold {
        filter          = "${local.metric.failures} AND ${local.of[each.value.function]}"
        comparison      = "COMPARISON_GT"
        threshold_value = conditions.value - 1
        duration        = "0s"
        aggregations {
          alignment_period     = "21600s"
          per_series_aligner   = "ALIGN_DELTA"
          cross_series_reducer = "REDUCE_SUM"
        }
      }
    }
  }

  documentation {
    subject = "${var.name} ${each.value.function}: requests fail"
    content = "${var.runbook_url}#${lower(each.value.alert)}"
  }
}
