# What everything else stands on: services that are switched on, identities, images, and what modules are told.
locals {
  labels       = merge({ app = var.name }, var.labels)
  data_regions = coalesce(var.data_regions, var.regions)
  placement = {
    location = length(local.data_regions) == 2 ? { europe = "EU", us = "US", asia = "ASIA" }[split("-", local.data_regions[0])[0]] : local.data_regions[0]
    regions  = local.data_regions
  }
  members  = { for name, identity in google_service_account.function : name => "serviceAccount:${identity.email}" }
  services = { for name, function in module.function : name => function.services }

  # docs/containers.md and docs/kubernetes.md have the measurements. Files of Cloud Run are in memory, so batch, which receives most, has
  # more of it. One CPU works on one photo at a time: as many requests share an instance as still fit into what is promised (p95).
  defaults = {
    predict = { cpu = 1, memory_mb = 512, concurrency = 8, timeout_s = 60, min_instances = 0, max_instances = 10 }
    batch   = { cpu = 1, memory_mb = 1024, concurrency = 2, timeout_s = 60, min_instances = 0, max_instances = 10 }
    explain = { cpu = 1, memory_mb = 2048, concurrency = 4, timeout_s = 60, min_instances = 0, max_instances = 10 }
  }
  functions = {
    for name, default in local.defaults : name => {
      settings    = merge({ for key, value in default : key => try(coalesce(var.functions[name][key], value), value) }, { gpu = try(var.functions[name].gpu, null) })
      environment = try(var.functions[name].environment, {})
      canary      = try(var.functions[name].canary, null)
    }
  }

  environment = {
    GOOGLE_CLOUD_PROJECT  = var.project
    PLANT_MODEL_URI       = module.models.uri
    PLANT_MODEL_CHANNEL   = var.model.channel
    PLANT_MODEL_VERSION   = var.model.version
    PLANT_AUTH            = var.auth.required ? "required" : "off"
    PLANT_ANONYMOUS_PLAN  = var.auth.anonymous_plan
    PLANT_API_KEYS_URI    = "/keys/keys.json"
    PLANT_UPLOADS_URI     = module.uploads.uri
    PLANT_USAGE_URI       = module.usage.uri
    PLANT_LIMITS_ON_ERROR = var.limits.on_error
    # The load balancer adds the caller and itself, and nobody gets around it.
    PLANT_TRUSTED_PROXIES = "2"
    PLANT_CORS_ORIGINS    = length(var.cors_origins) > 0 ? join(",", var.cors_origins) : null
    PLANT_TRACES          = var.traces ? "otlp" : "off"
  }

  collector_image = "us-docker.pkg.dev/cloud-ops-agents-artifacts/google-cloud-opentelemetry-collector/otelcol-google:0.144.0"
  repository      = { location = split("-docker.", var.registry)[0], project = split("/", var.registry)[1], id = split("/", var.registry)[2] }
  digests = {
    for name in keys(local.defaults) :
    name => try(var.image_digests[name], regex("sha256:[0-9a-f]{64}$", data.google_artifact_registry_docker_image.tagged[name].self_link))
  }
}

resource "google_project_service" "needed" {
  for_each = toset([
    "artifactregistry", "bigquery", "billingbudgets", "certificatemanager", "cloudtrace", "compute", "dns", "iamcredentials",
    "logging", "monitoring", "pubsub", "redis", "run", "secretmanager", "storage",
  ])

  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_service_account" "function" {
  for_each = local.defaults

  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = "The function ${each.key} of ${var.name}"
}

data "google_artifact_registry_docker_image" "tagged" {
  for_each = { for name in keys(local.defaults) : name => "${name}:${var.image_tag}" if var.image_tag != null && !contains(keys(var.image_digests), name) }

  project       = local.repository.project
  location      = local.repository.location
  repository_id = local.repository.id
  image_name    = each.value
}
