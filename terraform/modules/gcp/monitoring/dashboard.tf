locals {
  # Title, filter, how a series is aligned and how series are put together; a line for each function and region.
  charts = [
    ["Requests", local.metric.requests, "ALIGN_RATE", "REDUCE_SUM"],
    ["Failures (5xx)", local.metric.failures, "ALIGN_RATE", "REDUCE_SUM"],
    ["Latency, 95 in 100 below, ms", local.metric.latency_ms, "ALIGN_DELTA", "REDUCE_PERCENTILE_95"],
    ["Latency, 99 in 100 below, ms", local.metric.latency_ms, "ALIGN_DELTA", "REDUCE_PERCENTILE_99"],
    ["Network alone, 95 in 100 below, ms", local.metric.model_ms, "ALIGN_DELTA", "REDUCE_PERCENTILE_95"],
    ["Cold start, ms", local.metric.cold_start_ms, "ALIGN_DELTA", "REDUCE_PERCENTILE_95"],
    ["Turned away: overloaded", local.metric.overloaded, "ALIGN_RATE", "REDUCE_SUM"],
    ["Turned away: no model", local.metric.model_unavailable, "ALIGN_RATE", "REDUCE_SUM"],
    ["Models refused", local.metric.model_load_failures, "ALIGN_DELTA", "REDUCE_SUM"],
    ["Diagnosed", local.metric.decisions_diagnosed, "ALIGN_RATE", "REDUCE_SUM"],
    ["Uncertain", local.metric.decisions_uncertain, "ALIGN_RATE", "REDUCE_SUM"],
    ["Rejected", local.metric.decisions_rejected, "ALIGN_RATE", "REDUCE_SUM"],
    ["Billed requests", local.metric.billed_requests, "ALIGN_RATE", "REDUCE_SUM"],
    ["Instances", "metric.type=\"run.googleapis.com/container/instance_count\"", "ALIGN_MAX", "REDUCE_SUM"],
    ["CPU, 95 in 100 below", "metric.type=\"run.googleapis.com/container/cpu/utilizations\"", "ALIGN_DELTA", "REDUCE_PERCENTILE_95"],
    ["Memory, 99 in 100 below", "metric.type=\"run.googleapis.com/container/memory/utilizations\"", "ALIGN_DELTA", "REDUCE_PERCENTILE_99"],
  ]
}

resource "google_monitoring_dashboard" "service" {
  project = var.project

  dashboard_json = jsonencode({
    displayName = var.name
    gridLayout = {
      columns = "2"
      widgets = [
        for chart in local.charts : {
          title = chart[0]
          xyChart = {
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = {
                timeSeriesFilter = {
                  filter = "${chart[1]} AND resource.type=\"cloud_run_revision\" AND resource.labels.service_name=monitoring.regex.full_match(\"${var.name}-(predict|batch|explain)\")"
                  aggregation = {
                    alignmentPeriod    = "300s"
                    perSeriesAligner   = chart[2]
                    crossSeriesReducer = chart[3]
                    groupByFields      = ["resource.label.service_name", "resource.label.location"]
                  }
                }
              }
            }]
          }
        }
      ]
    }
  })

  depends_on = [google_logging_metric.counter, google_logging_metric.distribution]
}
