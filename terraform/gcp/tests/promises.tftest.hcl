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
    secret_environment = {
      europe-west1 = { PLANT_LIMITS_URI = "plant-disease-limits-europe-west1" }
      europe-west4 = { PLANT_LIMITS_URI = "plant-disease-limits-europe-west4" }
    }
    collector_image = "us-docker.pkg.dev/p/r/collector:1"
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
    condition     = alltrue([for service in google_cloud_run_v2_service.function : [for share in service.traffic : share.revision] == [local.revision.stable, local.revision.canary]]) && local.revision.stable != local.revision.canary
    error_message = "Old and new images do not have a revision each."
  }
  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.function : service.template[0].containers[0].resources[0].startup_cpu_boost])
    error_message = "Starts are not boosted."
  }
  assert {
    condition = alltrue([
      for region, service in google_cloud_run_v2_service.function :
      { for variable in service.template[0].containers[0].env : variable.name => [for source in variable.value_source : source.secret_key_ref[0].secret] } ==
      { PLANT_AUTH = [], PLANT_LIMITS_URI = ["plant-disease-limits-${region}"] }
    ])
    error_message = "A secret is in plain environment, or one of another region is taken."
  }
  assert {
    condition     = keys(google_project_iam_member.traces) == ["roles/cloudtrace.agent"]
    error_message = "A function may do more in the project than to write spans."
  }
}

run "function_without_canary" {
  command = plan
  module {
    source = "../modules/gcp/function"
  }
  variables {
    name            = "plant-disease-predict"
    regions         = ["europe-west1"]
    service_account = "predict@plants-481912.iam.gserviceaccount.com"
    image           = "europe-west1-docker.pkg.dev/p/r/predict@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    settings        = { cpu = 4, memory_mb = 16384, concurrency = 8, timeout_s = 60, min_instances = 0, max_instances = 10, gpu = { type = "nvidia-l4" } }
    environment     = {}
    collector_image = "us-docker.pkg.dev/p/r/collector:1"
  }

  assert {
    condition = alltrue([
      for service in google_cloud_run_v2_service.function :
      [for share in service.traffic : [share.revision, share.percent]] == [[service.template[0].revision, 100]]
    ])
    error_message = "Requests go to another revision than the one that is applied."
  }
  assert {
    condition     = alltrue([for service in google_cloud_run_v2_service.function : alltrue([for container in service.template[0].containers : !container.resources[0].cpu_idle])])
    error_message = "With a GPU one of the containers has its CPU for requests alone, which Google refuses."
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
    condition     = alltrue([for backend in google_compute_backend_service.function : backend.outlier_detection[0].max_ejection_percent == 50 && backend.security_policy == "edge"]) && length(google_compute_region_network_endpoint_group.service) == 6
    error_message = "A function is not behind the load balancer in both regions, does not leave a failing one alone, or is not protected."
  }
}

run "load_balancer_of_one_region" {
  command = plan
  module {
    source = "../modules/gcp/load_balancer"
  }
  variables {
    name            = "plant-disease"
    services        = { predict = { europe-west1 = "plant-disease-predict" }, batch = { europe-west1 = "plant-disease-batch" }, explain = { europe-west1 = "plant-disease-explain" } }
    page            = "page"
    security_policy = "edge"
  }

  assert {
    condition     = alltrue([for backend in google_compute_backend_service.function : length(backend.outlier_detection) == 0])
    error_message = "The only region there is may be left alone."
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
  assert {
    condition     = google_storage_bucket_iam_member.signer.role == "roles/storage.objectUser" && [for reader in google_storage_bucket_iam_member.readers : reader.role] == ["roles/storage.objectViewer"]
    error_message = "A function may do more with photos than to read them, or to sign and count."
  }
  assert {
    condition     = google_service_account_iam_member.signer.role == "roles/iam.serviceAccountTokenCreator" && endswith(google_service_account_iam_member.signer.service_account_id, "/predict@p.iam.gserviceaccount.com") && google_service_account_iam_member.signer.member == "serviceAccount:predict@p.iam.gserviceaccount.com"
    error_message = "A function signs as somebody else."
  }
}

run "jobs" {
  command = plan
  module {
    source = "../modules/gcp/jobs"
  }
  variables {
    name        = "plant-disease"
    bucket_name = "jobs"
    placement   = { location = "EU", regions = ["europe-west1", "europe-west4"] }
    worker      = "batch@p.iam.gserviceaccount.com"
    runbook_url = "docs/runbook.md"
  }

  assert {
    condition     = one([for rule in google_storage_bucket.jobs.lifecycle_rule : one(rule.condition).age]) == 30 && google_storage_bucket.jobs.public_access_prevention == "enforced" && google_storage_bucket.jobs.uniform_bucket_level_access
    error_message = "Jobs are kept for ever, or may become public."
  }
  assert {
    condition     = one(google_pubsub_subscription.push.push_config).push_endpoint == "https://plants.example.com/jobs/work" && one(one(google_pubsub_subscription.push.push_config).oidc_token).audience == output.environment.PLANT_JOBS_PUSH_AUDIENCE
    error_message = "Chunks are pushed elsewhere, or with a token for somebody else."
  }
  assert {
    condition     = output.environment.PLANT_JOBS_PUSH_ACCOUNT == "${google_service_account.push.account_id}@${var.project}.iam.gserviceaccount.com"
    error_message = "The function lets in another identity than the one that pushes."
  }
  assert {
    condition     = google_pubsub_subscription.push.ack_deadline_seconds == 60 && one(google_pubsub_subscription.push.dead_letter_policy).max_delivery_attempts == 12 && one(google_pubsub_subscription.push.expiration_policy).ttl == ""
    error_message = "A chunk comes again while it is done, is never put aside, or the subscription ends by itself."
  }
  assert {
    condition     = toset([for policy in google_monitoring_alert_policy.this : policy.display_name]) == toset(["plant-disease JobsLate", "plant-disease JobsDeadLetters"])
    error_message = "Nobody hears of chunks that lie too long, or of dead letters."
  }
  assert {
    condition     = google_storage_bucket_iam_member.worker.role == "roles/storage.objectUser" && google_pubsub_topic_iam_member.publisher.role == "roles/pubsub.publisher" && google_service_account_iam_member.signer.member == "serviceAccount:batch@p.iam.gserviceaccount.com"
    error_message = "The function may do more than to keep jobs, to queue chunks, and to sign as itself."
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

run "usage" {
  command = plan
  module {
    source = "../modules/gcp/usage"
  }
  variables {
    name        = "plant-disease"
    bucket_name = "usage"
    placement   = { location = "ASIA", regions = ["asia-northeast1", "asia-northeast2"] }
    writers     = { predict = "serviceAccount:predict@p.iam.gserviceaccount.com" }
  }

  assert {
    condition     = { for rule in google_storage_bucket.usage.lifecycle_rule : one(one(rule.condition).matches_prefix) => one(rule.condition).age } == { "dt=" = 400, "answers/" = 1 }
    error_message = "Events are not kept for 400 days, or answers for longer than one."
  }
  assert {
    condition     = google_bigquery_dataset.usage.default_partition_expiration_ms == 400 * 24 * 3600 * 1000
    error_message = "The table keeps events for another time than the bucket."
  }
  assert {
    condition     = google_bigquery_dataset.usage.location == "asia-northeast1"
    error_message = "The table is where BigQuery has no location."
  }
  assert {
    condition     = concat([for writer in google_storage_bucket_iam_member.writers : writer.role], [google_bigquery_dataset_iam_member.sink.role]) == ["roles/storage.objectUser", "roles/bigquery.dataEditor"]
    error_message = "A function may do more with events than to write them."
  }
}

run "keys" {
  command = plan
  module {
    source = "../modules/gcp/keys"
  }
  variables {
    name    = "plant-disease-keys"
    regions = ["europe-west1", "europe-west4"]
    readers = { predict = "serviceAccount:predict@p.iam.gserviceaccount.com" }
  }

  assert {
    condition     = output.secret == "plant-disease-keys"
    error_message = "The secret has another name than docs say."
  }
  assert {
    condition     = jsondecode(google_secret_manager_secret_version.none.secret_data) == { format = 1, plans = {}, keys = {} }
    error_message = "There are keys before anybody made one."
  }
  assert {
    condition     = [for reader in google_secret_manager_secret_iam_member.readers : reader.role] == ["roles/secretmanager.secretAccessor"]
    error_message = "A function may change keys."
  }
}

run "limits" {
  command = plan
  module {
    source = "../modules/gcp/limits"
  }
  variables {
    name    = "plant-disease"
    regions = ["europe-west1", "europe-west4"]
    readers = { predict = "serviceAccount:predict@p.iam.gserviceaccount.com" }
  }

  assert {
    condition     = alltrue([for redis in google_redis_instance.counts : redis.auth_enabled && redis.transit_encryption_mode == "SERVER_AUTHENTICATION" && redis.tier == "STANDARD_HA"])
    error_message = "Redis asks for no password, is not encrypted, or is on one machine."
  }
  assert {
    condition     = length(google_secret_manager_secret_iam_member.readers) == 4 && alltrue([for reader in google_secret_manager_secret_iam_member.readers : reader.role == "roles/secretmanager.secretAccessor"])
    error_message = "A function cannot read the address or the certificate of Redis, or may do more."
  }
}

run "protection" {
  command = plan
  module {
    source = "../modules/gcp/protection"
  }
  variables {
    name                           = "plant-disease"
    requests_per_minute_by_address = 600
  }

  assert {
    condition     = { for rule in google_compute_security_policy.edge.rule : rule.rate_limit_options[0].enforce_on_key => rule.rate_limit_options[0].rate_limit_threshold[0].count if rule.action == "throttle" } == { IP = 600 }
    error_message = "A rate is held by something that a caller may make up, or there is none."
  }
  assert {
    condition     = alltrue([for rule in google_compute_security_policy.edge.rule : one(one(rule.match).config).src_ip_ranges == toset(["*"]) if rule.action == "throttle"])
    error_message = "Some callers have no rate."
  }
}

run "protection_with_jobs" {
  command = plan
  module {
    source = "../modules/gcp/protection"
  }
  variables {
    name                           = "plant-disease"
    requests_per_minute_by_address = 600
    pushed_paths                   = ["/jobs/work"]
  }

  assert {
    condition     = { for rule in google_compute_security_policy.edge.rule : rule.priority => rule.rate_limit_options[0].enforce_on_key if rule.action == "throttle" } == { 1900 = "ALL", 2000 = "IP" }
    error_message = "Pub/Sub has the rate of one address, or whatever it calls has none."
  }
}

run "page" {
  command = plan
  module {
    source = "../modules/gcp/page"
  }
  variables {
    name          = "page"
    placement     = { location = "EU", regions = ["europe-west1", "europe-west4"] }
    folder        = "../../static_ui"
    upload_origin = "https://storage.googleapis.com"
  }

  assert {
    condition     = google_storage_bucket_iam_member.everybody.role == "roles/storage.legacyObjectReader"
    error_message = "The public may list the page's bucket, or write to it."
  }
}

run "monitoring" {
  command = plan
  module {
    source = "../modules/gcp/monitoring"
  }
  variables {
    name               = "plant-disease"
    services           = { for name in ["predict", "batch", "explain"] : name => { europe-west1 = "plant-disease-${name}", europe-west4 = "plant-disease-${name}" } }
    email              = ["oncall@example.com"]
    sms                = ["+4915112345678"]
    runbook_url        = "https://docs.example.com/runbook"
    log_retention_days = 90
  }

  assert {
    condition = alltrue([
      for policy in concat(values(google_monitoring_alert_policy.counted), values(google_monitoring_alert_policy.latency), [google_monitoring_alert_policy.overloaded]) :
      [for condition in policy.conditions : regex("service_name=\"plant-disease-([a-z]+)\"", condition.condition_threshold[0].filter)[0]] == ["batch", "explain", "predict"] &&
      alltrue([for condition in policy.conditions : condition.condition_threshold[0].aggregations[0].group_by_fields == tolist(["resource.label.location"])])
    ])
    error_message = "An alert does not look at each function in each region."
  }
  assert {
    condition     = [for key, policy in google_monitoring_alert_policy.burn : key if try(policy.conditions[2].condition_threshold[0].threshold_value, null) == 4] == ["batch-1h", "batch-6h", "explain-1h", "explain-6h", "predict-1h", "predict-6h"]
    error_message = "Somebody is woken for fewer than five failures."
  }
  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.counted : policy.documentation[0].content == "https://docs.example.com/runbook#${lower(split(" ", policy.display_name)[1])}"])
    error_message = "An alert does not name its section in the runbook."
  }
  assert {
    condition     = length(google_monitoring_alert_policy.drift.conditions) == 2 && alltrue([for condition in google_monitoring_alert_policy.drift.conditions : strcontains(condition.condition_prometheus_query_language[0].query, "logging_googleapis_com:user_plant_disease_decisions_${split(":", condition.display_name)[0]}{")])
    error_message = "Nobody is told that other photos come in."
  }
  assert {
    condition     = length(local.channels.page) == 2 && length(local.channels.warning) == 1
    error_message = "Nobody is telephoned at night, or for a warning."
  }
  assert {
    condition     = { for check in google_monitoring_uptime_check_config.function : check.http_check[0].path => check.http_check[0].accepted_response_status_codes[0].status_value } == { "/health/ready" = 200, "/batch" = 405, "/explain" = 405 }
    error_message = "A function is not asked from outside."
  }
  assert {
    condition     = google_logging_project_bucket_config.default.retention_days == 90
    error_message = "Log lines are kept for another time."
  }
}

run "whole" {
  command = plan
  variables {
    limits = { store = "redis" }
    alerts = { email = ["oncall@example.com"] }
    jobs   = { enabled = true }
    traces = true
    budget = { billing_account = "012345-6789AB-CDEF01", monthly_usd = 500 }
  }

  assert {
    condition     = length(local.services) == 3 && alltrue([for services in local.services : length(services) == 2])
    error_message = "There is not a service for each function and region."
  }
  assert {
    condition     = keys(module.jobs) == ["jobs"]
    error_message = "There are no jobs."
  }
  assert {
    condition     = tomap(output.image_digests) == var.image_digests && output.keys_secret == "plant-disease-keys"
    error_message = "Pipelines do not learn what is live, or people where keys are."
  }
  assert {
    condition     = !contains(keys(local.environment), "PLANT_LIMITS_URI")
    error_message = "The password of Redis is in plain environment."
  }
}

run "one_region" {
  command = plan
  variables {
    regions = ["asia-northeast1"]
    limits  = { store = "redis" }
  }

  assert {
    condition     = alltrue([for services in local.services : keys(services) == ["asia-northeast1"]]) && local.placement.location == "asia-northeast1"
    error_message = "One region is not enough."
  }
}

run "another_region_later" {
  command = plan
  variables {
    regions      = ["europe-west4", "europe-west2"]
    data_regions = ["europe-west4"]
  }

  assert {
    condition     = alltrue([for services in local.services : length(services) == 2]) && local.placement == { location = "europe-west4", regions = tolist(["europe-west4"]) }
    error_message = "A second region moves what holds data."
  }
}
