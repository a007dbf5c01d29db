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

run "name" {
  command = plan
  variables {
    name = "No"
  }
  expect_failures = [var.name]
}

run "domain" {
  command = plan
  variables {
    domain = "https://plants.example.com"
  }
  expect_failures = [var.domain]
}

run "zone_id" {
  command = plan
  variables {
    zone_id = "plants.example.com"
  }
  expect_failures = [var.zone_id]
}

run "regions" {
  command = plan
  variables {
    regions = ["eu-west-1", "eu-west-1"]
  }
  expect_failures = [var.regions]
}

run "image_tag" {
  command = plan
  variables {
    image_tag = "latest"
  }
  expect_failures = [var.image_tag]
}

run "image_digests" {
  command = plan
  variables {
    image_digests = { predict = "sha256:short" }
  }
  expect_failures = [var.image_digests]
}

run "canary" {
  command = plan
  variables {
    functions = { predict = { canary = { digest = "1.0.1", percent = 10 } }, batch = {}, explain = {} }
  }
  expect_failures = [var.functions]
}

run "limits" {
  command = plan
  variables {
    limits = { store = "redis" }
  }
  expect_failures = [var.limits]
}
