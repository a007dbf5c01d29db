locals {
  settings = { for name, value in var.environment : name => value if value != null }
  traced   = var.collector_image != null

  # A revision is named after what it runs. So the revision that keeps most of the requests while there is a canary has the
  # name it already had: a canary changes the image and nothing else.
  runs = jsonencode([
    local.settings, var.settings, var.secret_environment, var.secret_files, var.subnets, var.collector_image, var.labels,
    filesha256("${path.module}/main.tf"), filesha256("${path.module}/collector.yaml"),
  ])
  revision = {
    stable = "${var.name}-${substr(sha256("${var.image}${local.runs}"), 0, 10)}"
    canary = var.canary == null ? null : "${var.name}-${substr(sha256("${var.canary.image}${local.runs}"), 0, 10)}"
  }
}

resource "google_cloud_run_v2_service" "function" {
  for_each = toset(var.regions)

  project             = var.project
  name                = var.name
  location            = each.key
  labels              = var.labels
  deletion_protection = var.deletion_protection

  # Reached through the load balancer alone, where certificate, limits and firewall are. The functions ask for API keys
  # themselves, so the platform asks for no identity of Google.
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  default_uri_disabled = true
  invoker_iam_disabled = true

  template {
    revision                         = var.canary == null ? local.revision.stable : local.revision.canary
    service_account                  = var.service_account
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    max_instance_request_concurrency = var.settings.concurrency
    timeout                          = "${var.settings.timeout_s}s"
    labels                           = var.labels
    gpu_zonal_redundancy_disabled    = var.settings.gpu != null ? true : null

    scaling {
      min_instance_count = var.settings.min_instances
      max_instance_count = var.settings.max_instances
    }

    dynamic "node_selector" {
      for_each = var.settings.gpu[*]
      content {
        accelerator = node_selector.value.type
      }
    }

    dynamic "vpc_access" {
      for_each = contains(keys(var.subnets), each.key) ? [var.subnets[each.key]] : []
      content {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          subnetwork = vpc_access.value
        }
      }
    }

    containers {
      name       = "function"
      image      = var.canary == null ? var.image : var.canary.image
      depends_on = local.traced ? ["collector"] : null

      ports {
        container_port = 8080
      }

      resources {
        limits = merge(
          { cpu = tostring(var.settings.cpu), memory = "${var.settings.memory_mb}Mi" },
          var.settings.gpu == null ? {} : { "nvidia.com/gpu" = "1" },
        )
        # Billed by request; a GPU wants its CPUs all the time.
        cpu_idle          = var.settings.gpu == null
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.settings
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = lookup(var.secret_environment, each.key, {})
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }

      dynamic "volume_mounts" {
        for_each = lookup(var.secret_files, each.key, {})
        content {
          name       = volume_mounts.key
          mount_path = volume_mounts.value.folder
        }
      }

      # As on Kubernetes: without a model an instance lives and gets no requests. So the first apply succeeds before a model is published.
      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 30
        http_get {
          path = "/health/live"
        }
      }
      readiness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health/ready"
        }
      }
      liveness_probe {
        period_seconds    = 10
        timeout_seconds   = 5
        failure_threshold = 6
        http_get {
          path = "/health/live"
        }
      }
    }

    dynamic "containers" {
      for_each = var.collector_image[*]
      content {
        name  = "collector"
        image = containers.value
        args  = ["--config=env:COLLECTOR_CONFIG"]

        env {
          name  = "COLLECTOR_CONFIG"
          value = templatefile("${path.module}/collector.yaml", { project = var.project })
        }
        resources {
          limits   = { cpu = "1", memory = "256Mi" }
          cpu_idle = var.settings.gpu == null
        }
        startup_probe {
          http_get {
            path = "/"
            port = 13133
          }
        }
      }
    }

    dynamic "volumes" {
      for_each = lookup(var.secret_files, each.key, {})
      content {
        name = volumes.key
        secret {
          secret = volumes.value.secret
          items {
            version = "latest"
            path    = volumes.value.file
          }
        }
      }
    }
  }

  dynamic "traffic" {
    for_each = var.canary == null ? [{ revision = local.revision.stable, percent = 100, tag = null }] : [
      { revision = local.revision.stable, percent = 100 - var.canary.percent, tag = "stable" },
      { revision = local.revision.canary, percent = var.canary.percent, tag = "canary" },
    ]
    content {
      type     = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
      revision = traffic.value.revision
      percent  = traffic.value.percent
      tag      = traffic.value.tag
    }
  }

  depends_on = [google_project_iam_member.traces]
}

resource "google_project_iam_member" "traces" {
  for_each = toset(local.traced ? ["roles/cloudtrace.agent"] : [])

  project = var.project
  role    = each.key
  member  = "serviceAccount:${var.service_account}"
}
