# DecisionsDrift of monitoring/rules/alerts.yml, in PromQL as there: a threshold cannot look back a week.
locals {
  decided = {
    for decision in ["diagnosed", "uncertain", "rejected"] :
    decision => "logging_googleapis_com:user_${replace(var.name, "-", "_")}_decisions_${decision}{monitored_resource=\"cloud_run_revision\"}"
  }
  # A decision that was not made in a window has no series in it.
  counts = { for window in ["1h", "1w"] : window => { for decision, series in local.decided : decision => "(sum(increase(${series}[${window}])) or vector(0))" } }
  plants = { for window, counts in local.counts : window => "(${join(" + ", values(counts))})" }
}

resource "google_monitoring_alert_policy" "drift" {
  project               = var.project
  display_name          = "${var.name} DecisionsDrift"
  combiner              = "OR"
  severity              = local.severity.warning
  notification_channels = local.channels.warning
  user_labels           = var.labels

  dynamic "conditions" {
    for_each = toset(["rejected", "uncertain"])
    content {
      display_name = "${conditions.key}: 15 points more than in the week before"
      condition_prometheus_query_language {
        query = join(" ", [
          "${local.counts["1h"][conditions.key]} / ${local.plants["1h"]}",
          "- ${local.counts["1w"][conditions.key]} / ${local.plants["1w"]} > 0.15",
          "and ${local.plants["1h"]} > 100",
        ])
        duration            = "1800s"
        evaluation_interval = "300s"
      }
    }
  }

  documentation {
    subject = "${var.name}: other photos come in than a week ago"
    content = "${var.runbook_url}#decisionsdrift"
  }

  depends_on = [google_logging_metric.counter]
}
