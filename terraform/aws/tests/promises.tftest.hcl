variables {
  domain    = "plants.example.com"
  zone_id   = "Z0123456789ABCDEFGHIJ"
  regions   = ["eu-central-1", "eu-west-1"]
  registry  = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease"
  image_tag = "1.0.0"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}

run "two_regions" {
  command = plan
  variables {
    limits = { store = "dynamodb" }
    functions = {
      predict = { canary = { digest = "sha256:4444444444444444444444444444444444444444444444444444444444444444", percent = 10 } }
      batch   = {}
      explain = { memory_mb = 2048 }
    }
  }
  assert {
    condition     = alltrue([for region in ["primary", "standby"] : length(output.images[region]) == 4 && alltrue([for image in output.images[region] : can(regex("@sha256:[0-9a-f]{64}$", image))])])
    error_message = "Every function and the canary run from a digest, in both regions."
  }
  assert {
    condition     = alltrue([for region in ["primary", "standby"] : alltrue([for kind in ["errors", "throttles", "5xx", "latency", "model-loads"] : alltrue([for function in ["predict", "batch", "explain"] : contains(output.alarms[region], "plant-disease-${function}-${kind}")])])])
    error_message = "Each function has its alarms in each region."
  }
  assert {
    condition     = startswith(output.images.standby.predict, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/")
    error_message = "The standby pulls from its own region."
  }
}

# One plan for all of them: each has to be refused.
run "mistakes_are_refused" {
  command = plan
  variables {
    name               = "No"
    domain             = "https://plants.example.com"
    zone_id            = "plants.example.com"
    regions            = ["eu-west-1", "eu-west-1"]
    registry           = "docker.io/plants"
    image_tag          = "latest"
    image_digests      = { predict = "sha256:short" }
    functions          = { predict = { canary = { digest = "1.0.1", percent = 10 } }, batch = {}, explain = {} }
    limits             = { store = "redis" }
    uploads            = { retention_days = 0 }
    usage              = { retention_days = 1 }
    budget             = { monthly_usd = 0 }
    log_retention_days = 31
  }
  expect_failures = [
    var.name, var.domain, var.zone_id, var.regions, var.registry, var.image_tag, var.image_digests, var.functions,
    var.limits, var.uploads, var.usage, var.budget, var.log_retention_days,
  ]
}
