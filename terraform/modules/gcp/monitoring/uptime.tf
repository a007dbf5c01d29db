# As callers see it, from outside. batch and explain answer a GET by 405: only they do, not the page and not the load balancer.
locals {
  checks = {
    predict = { path = "/health/ready", status = 200, alert = "SiteDown" }
    batch   = { path = "/batch", status = 405, alert = "FunctionDown" }
    explain = { path = "/explain", status = 405, alert = "FunctionDown" }
  }
  certificate = {
    CertificateExpiresSoon = { days = 21, severity = "warning" }
    CertificateExpires     = { days = 3, severity = "page" }
  }
}

resource "google_monitoring_uptime_check_config" "function" {
  for_each = local.checks

  project      = var.project
  display_name = "${var.name} ${each.key}"
  timeout      = "10s"
  period       = "60s"
  user_labels  = var.labels

  monitored_resource {
    type   = "uptime_url"
    labels = { project_id = var.project, host = var.domain }
  }

  http_check {
    path         = each.value.path
    port         = 443
    use_ssl      = true
    validate_ssl = true
    accepted_response_status_codes {
      status_value = each.value.status
    }
  }
}

resource "google_monitoring_alert_policy" "uptime" {
  for_each = local.checks

  project               = var.project
  display_name          = "${var.name} ${each.value.alert} ${each.key}"
  combiner              = "OR"
  severity              = local.severity.page
  notification_channels = local.channels.page
  user_labels           = var.labels

  conditions {
    display_name = "${each.key} does not answer from two places or more"
    condition_threshold {
      filter          = "metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id=\"${google_monitoring_uptime_check_config.function[each.key].uptime_check_id}\" AND resource.type=\"uptime_url\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "180s"
      aggregations {
        alignment_period     = "120s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    subject = "${var.name}: ${each.key} does not answer"
    content = "${var.runbook_url}#${lower(each.value.alert)}"
  }
}

resource "google_monitoring_alert_policy" "certificate" {
  for_each = local.certificate

  project               = var.project
  display_name          = "${var.name} ${each.key}"
  combiner              = "OR"
  severity              = local.severity[each.value.severity]
  notification_channels = local.channels[each.value.severity]
  user_labels           = var.labels

  conditions {
    display_name = "In less than ${each.value.days} days"
    condition_threshold {
      filter          = "metric.type=\"monitoring.googleapis.com/uptime_check/time_until_ssl_cert_expires\" AND metric.labels.check_id=\"${google_monitoring_uptime_check_config.function["predict"].uptime_check_id}\" AND resource.type=\"uptime_url\""
      comparison      = "COMPARISON_LT"
      threshold_value = each.value.days
      duration        = "600s"
      aggregations {
        alignment_period     = "1200s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_MIN"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    subject = "${var.name}: the certificate expires"
    content = "${var.runbook_url}#${lower(each.key)}"
  }
}
