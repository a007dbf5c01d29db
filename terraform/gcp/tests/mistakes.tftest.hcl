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

run "project_1" {
  command = plan
  variables {
    project = "Plants"
  }
  expect_failures = [var.project]
}

run "name_1" {
  command = plan
  variables {
    name = "Plant_Disease"
  }
  expect_failures = [var.name]
}

run "domain_1" {
  command = plan
  variables {
    domain = "https://plants.example.com/"
  }
  expect_failures = [var.domain]
}

run "regions_1" {
  command = plan
  variables {
    regions = ["europe-west1", "europe-west1"]
  }
  expect_failures = [var.regions]
}

run "regions_2" {
  command = plan
  variables {
    regions = ["europe-west1", "us-central1"]
  }
  expect_failures = [var.regions]
}

run "registry_1" {
  command = plan
  variables {
    registry = "https://registry.example.com"
  }
  expect_failures = [var.registry]
}

run "image_tag_1" {
  command = plan
  variables {
    image_tag = "latest"
  }
  expect_failures = [var.image_tag]
}

run "image_digests_1" {
  command = plan
  variables {
    image_digests = { predict = "2026.11.2", batch = "x", explain = "y" }
  }
  expect_failures = [var.image_digests]
}

run "functions_1" {
  command = plan
  variables {
    functions = { train = {} }
  }
  expect_failures = [var.functions]
}

run "functions_2" {
  command = plan
  variables {
    functions = { predict = { cpu = 0.5 } }
  }
  expect_failures = [var.functions]
}

run "functions_3" {
  command = plan
  variables {
    functions = { predict = { memory_mb = 128 } }
  }
  expect_failures = [var.functions]
}

run "functions_4" {
  command = plan
  variables {
    functions = { predict = { concurrency = 80 } }
  }
  expect_failures = [var.functions]
}

run "functions_5" {
  command = plan
  variables {
    functions = { predict = { timeout_s = 5 } }
  }
  expect_failures = [var.functions]
}

run "functions_6" {
  command = plan
  variables {
    functions = { predict = { min_instances = 5, max_instances = 2 } }
  }
  expect_failures = [var.functions]
}

run "functions_7" {
  command = plan
  variables {
    functions = { predict = { environment = { PLANT_LIMITS_URI = "redis://:secret@host" } } }
  }
  expect_failures = [var.functions]
}

run "functions_8" {
  command = plan
  variables {
    functions = { predict = { gpu = { type = "nvidia-l4" } } }
  }
  expect_failures = [var.functions]
}

run "functions_9" {
  command = plan
  variables {
    functions = { predict = { canary = { digest = "latest", percent = 10 } } }
  }
  expect_failures = [var.functions]
}

run "model_1" {
  command = plan
  variables {
    model = { channel = "no/slash" }
  }
  expect_failures = [var.model]
}

run "auth_1" {
  command = plan
  variables {
    auth = { required = false, anonymous_plan = "free" }
  }
  expect_failures = [var.auth]
}

run "cors_origins_1" {
  command = plan
  variables {
    cors_origins = ["https://leaves.example/"]
  }
  expect_failures = [var.cors_origins]
}

run "limits_1" {
  command = plan
  variables {
    limits = { store = "dynamodb" }
  }
  expect_failures = [var.limits]
}

run "limits_2" {
  command = plan
  variables {
    limits = { on_error = "ignore" }
  }
  expect_failures = [var.limits]
}

run "limits_3" {
  command = plan
  variables {
    limits = { memory_gb = 0 }
  }
  expect_failures = [var.limits]
}

run "uploads_1" {
  command = plan
  variables {
    uploads = { retention_days = 365 }
  }
  expect_failures = [var.uploads]
}

run "usage_1" {
  command = plan
  variables {
    usage = { retention_days = 7 }
  }
  expect_failures = [var.usage]
}

run "protection_1" {
  command = plan
  variables {
    protection = { requests_per_minute_by_address = 0 }
  }
  expect_failures = [var.protection]
}

run "alerts_1" {
  command = plan
  variables {
    alerts = { email = ["nobody"] }
  }
  expect_failures = [var.alerts]
}

run "alerts_2" {
  command = plan
  variables {
    alerts = { sms = ["0151"] }
  }
  expect_failures = [var.alerts]
}

run "slack_auth_token_1" {
  command = plan
  variables {
    slack_auth_token = "xoxb"
  }
  expect_failures = [var.slack_auth_token]
}

run "budget_1" {
  command = plan
  variables {
    budget = { billing_account = "mine", monthly_usd = 500 }
  }
  expect_failures = [var.budget]
}

run "budget_2" {
  command = plan
  variables {
    budget = { billing_account = "012345-6789AB-CDEF01", monthly_usd = 500, thresholds = [50] }
  }
  expect_failures = [var.budget]
}

run "encryption_1" {
  command = plan
  variables {
    encryption = { kms_key = "key" }
  }
  expect_failures = [var.encryption]
}

run "log_retention_days_1" {
  command = plan
  variables {
    log_retention_days = 0
  }
  expect_failures = [var.log_retention_days]
}

run "labels_1" {
  command = plan
  variables {
    labels = { Team = "x" }
  }
  expect_failures = [var.labels]
}

