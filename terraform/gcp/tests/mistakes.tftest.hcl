# Each round has one mistake in every variable that still has one to make: a plan for each mistake would take four times as long.
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

run "round_1" {
  command = plan
  variables {
    project            = "Plants"
    name               = "Plant_Disease"
    domain             = "https://plants.example.com/"
    regions            = ["europe-west1", "europe-west1"]
    registry           = "https://registry.example.com"
    image_digests      = { predict = "2026.11.2", batch = "x", explain = "y" }
    functions          = { train = {} }
    model              = { channel = "no/slash" }
    auth               = { required = false, anonymous_plan = "free" }
    cors_origins       = ["https://leaves.example/"]
    limits             = { store = "dynamodb" }
    uploads            = { retention_days = 365 }
    jobs               = { retention_days = 0 }
    usage              = { retention_days = 7 }
    protection         = { requests_per_minute_by_address = 0 }
    alerts             = { email = ["nobody"] }
    budget             = { billing_account = "mine", monthly_usd = 500 }
    encryption         = { kms_key = "key" }
    log_retention_days = 0
    labels             = { Team = "x" }
  }
  expect_failures = [var.project, var.name, var.domain, var.regions, var.registry, var.image_digests, var.functions, var.model, var.auth, var.cors_origins, var.limits, var.uploads, var.jobs, var.usage, var.protection, var.alerts, var.budget, var.encryption, var.log_retention_days, var.labels]
}

run "round_2" {
  command = plan
  variables {
    regions   = ["europe-west1", "us-central1"]
    functions = { predict = { cpu = 0.5 } }
    limits    = { on_error = "ignore" }
    alerts    = { sms = ["0151"] }
    budget    = { billing_account = "012345-6789AB-CDEF01", monthly_usd = 500, thresholds = [50] }
  }
  expect_failures = [var.regions, var.functions, var.limits, var.alerts, var.budget]
}

run "round_3" {
  command = plan
  variables {
    regions          = ["europe-west1", "europe-west2"]
    image_tag        = "latest"
    functions        = { predict = { memory_mb = 128 } }
    limits           = { memory_gb = 0 }
    slack_auth_token = "xoxb"
  }
  expect_failures = [var.data_regions, var.image_tag, var.functions, var.limits, var.slack_auth_token]
}

run "round_4" {
  command = plan
  variables {
    regions          = ["europe-west4", "europe-north1"]
    image_digests    = { predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111" }
    functions        = { predict = { concurrency = 80 } }
    alerts           = { slack_channel = "plants" }
    slack_auth_token = "xoxb"
  }
  expect_failures = [var.data_regions, var.image_tag, var.functions, var.alerts]
}

run "round_5" {
  command = plan
  variables {
    data_regions = ["europe-west1", "europe-west1"]
    functions    = { predict = { timeout_s = 5 } }
  }
  expect_failures = [var.data_regions, var.functions]
}

run "round_6" {
  command = plan
  variables {
    functions = { predict = { min_instances = 5, max_instances = 2 } }
  }
  expect_failures = [var.functions]
}

run "round_7" {
  command = plan
  variables {
    functions = { predict = { environment = { PLANT_LIMITS_URI = "redis://:secret@host" } } }
  }
  expect_failures = [var.functions]
}

run "round_8" {
  command = plan
  variables {
    functions = { predict = { gpu = { type = "nvidia-l4" } } }
  }
  expect_failures = [var.functions]
}

run "round_9" {
  command = plan
  variables {
    functions = { predict = { canary = { digest = "latest", percent = 10 } } }
  }
  expect_failures = [var.functions]
}
