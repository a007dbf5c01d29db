variables {
  project  = "plants-481912"
  domain   = "plants.example.com"
  registry = "europe-west1-docker.pkg.dev/plants-481912/plant-disease"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}

run "functions" {
  command = plan
  module {
    source = "../modules/gcp/function"
  }
  variables {
    name            = "plant-disease-predict"
    regions         = ["europe-west1", "europe-west4"]
    service_account = "predict@plants-481912.iam.gserviceaccount.com"
    image           = "europe-west1-docker.pkg.dev/p/r/predict@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    canary          = { image = "europe-west1-docker.pkg.dev/p/r/predict@sha256:2222222222222222222222222222222222222222222222222222222222222222", percent = 10 }
    settings        = { cpu = 1, memory_mb = 512, concurrency = 8, timeout_s = 60, min_instances = 0, max_instances = 10 }
    environment     = { PLANT_AUTH = "required" }
  }

  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.function : service.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" && service.default_uri_disabled])
    error_message = "A function is reached around the load balancer."
  }
  assert {
    condition     = length(google_cloud_run_v2_service.function) == 2
    error_message = "A function is not in both regions."
  }
  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.function : [for share in service.traffic : share.percent] == [90, 10]])
    error_message = "A canary does not get its share."
  }
  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.function : service.template[0].containers[0].resources[0].startup_cpu_boost])
    error_message = "Starts are not boosted."
  }
}

run "load_balancer" {
  command = plan
  module {
    source = "../modules/gcp/load_balancer"
  }
  variables {
    name            = "plant-disease"
    services        = { for name in ["predict", "batch", "explain"] : name => { europe-west1 = "plant-disease-${name}", europe-west4 = "plant-disease-${name}" } }
    page            = "page"
    security_policy = "edge"
  }

  assert {
    condition     = google_compute_ssl_policy.modern.min_tls_version == "TLS_1_2" && google_compute_ssl_policy.modern.profile == "RESTRICTED"
    error_message = "TLS is older than 1.2, or has weak ciphers."
  }
  assert {
    condition     = google_compute_url_map.redirect.default_url_redirect[0].https_redirect
    error_message = "HTTP is not redirected."
  }
  assert {
    condition     = alltrue([for backend in google_compute_backend_service.function : length(backend.outlier_detection) == 1 && backend.security_policy == "edge"]) && length(google_compute_region_network_endpoint_group.service) == 6
    error_message = "A function is not behind the load balancer in both regions, does not leave a failing one alone, or is not protected."
  }
}

run "uploads" {
  command = plan
  module {
    source = "../modules/gcp/uploads"
  }
  variables {
    name      = "uploads"
    placement = { location = "EU", regions = ["europe-west1", "europe-west4"] }
    origins   = ["https://plants.example.com"]
    readers   = { batch = "serviceAccount:batch@p.iam.gserviceaccount.com" }
    signer    = "predict@p.iam.gserviceaccount.com"
  }

  assert {
    condition     = one([for rule in google_storage_bucket.uploads.lifecycle_rule : one(rule.condition).age]) == 1 && google_storage_bucket.uploads.soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "Photos are not gone after a day."
  }
  assert {
    condition     = google_storage_bucket.uploads.public_access_prevention == "enforced" && google_storage_bucket.uploads.uniform_bucket_level_access
    error_message = "Photos may become public."
  }
}

run "models" {
  command = plan
  module {
    source = "../modules/gcp/models"
  }
  variables {
    name      = "models"
    placement = { location = "EU", regions = ["europe-west1", "europe-west4"] }
    readers   = { predict = "serviceAccount:predict@p.iam.gserviceaccount.com" }
  }

  assert {
    condition     = google_storage_bucket.models.versioning[0].enabled && google_storage_bucket.models.rpo == "ASYNC_TURBO" && google_storage_bucket.models.public_access_prevention == "enforced"
    error_message = "Models are not versioned, not in both regions in 15 minutes, or may become public."
  }
  assert {
    condition     = alltrue([for member in google_storage_bucket_iam_member.readers : member.role == "roles/storage.objectViewer"])
    error_message = "A function may change models."
  }
}

run "whole" {
  command = plan
  variables {
    limits = { store = "redis" }
    alerts = { email = ["oncall@example.com"] }
    traces = true
    budget = { billing_account = "012345-6789AB-CDEF01", monthly_usd = 500 }
  }

  assert {
    condition     = length(local.services) == 3 && alltrue([for services in local.services : length(services) == 2])
    error_message = "There is not a service for each function and region."
  }
  assert {
    condition     = !contains(keys(local.environment), "PLANT_LIMITS_URI")
    error_message = "The password of Redis is in plain environment."
  }
}
