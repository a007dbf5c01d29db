# Every rule of a variable is broken once. One plan has a mistake in each of several variables, because each plan takes seconds; a variable
# whose rule looks at another one (image_tag, budget, encryption) is not in a plan where that one is wrong.
provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "standby"
  region                      = "eu-west-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "us_east_1"
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.this
  values = { account_id = "123456789012" }
}

override_data {
  target = module.primary.module.network.data.aws_availability_zones.this
  values = { names = ["eu-central-1a", "eu-central-1b"] }
}

override_data {
  target = module.standby["standby"].module.network.data.aws_availability_zones.this
  values = { names = ["eu-west-1a", "eu-west-1b"] }
}

variables {
  domain   = "plants.example.com"
  zone_id  = "Z0123456789ABCDEFGHIJ"
  registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}

run "first" {
  command = plan
  variables {
    name                     = "Plant_Disease"
    domain                   = "https://plants.example.com/"
    zone_id                  = "plants.example.com"
    regions                  = ["eu-west-1", "eu-west-1"]
    registry                 = "https://registry.example.com"
    image_digests            = { predict = "2026.11.2", batch = "x", explain = "y" }
    functions                = { train = {} }
    model                    = { channel = "no/slash" }
    auth                     = { required = false, anonymous_plan = "free" }
    cors_origins             = ["https://leaves.example/"]
    limits                   = { store = "redis" }
    uploads                  = { retention_days = 365 }
    jobs                     = { retention_days = 0, max_concurrency = 1 }
    usage                    = { retention_days = 7 }
    protection               = { requests_per_minute_by_key = 0 }
    alerts                   = { email = ["nobody"] }
    permissions_boundary_arn = "boundary"
    log_retention_days       = 31
    tags                     = { "aws:team" = "x" }
  }
  expect_failures = [var.name, var.domain, var.zone_id, var.regions, var.registry, var.image_digests, var.functions, var.model, var.auth, var.cors_origins, var.limits, var.uploads, var.jobs, var.usage, var.protection, var.alerts, var.permissions_boundary_arn, var.log_retention_days, var.tags]
}

run "second" {
  command = plan
  variables {
    name       = "a"
    image_tag  = "latest"
    functions  = { predict = { memory_mb = 128 } }
    model      = { version = "../1" }
    limits     = { on_error = "ignore" }
    uploads    = { retention_days = 0 }
    protection = { requests_per_minute_by_address = 5 }
    budget     = { monthly_usd = 0 }
    encryption = { kms_key_arns = { eu-west-1 = "key" } }
    tags       = { team = "<x>" }
  }
  expect_failures = [var.name, var.image_tag, var.functions, var.model, var.limits, var.uploads, var.protection, var.budget, var.encryption, var.tags]
}

run "third" {
  command = plan
  variables {
    name          = "a23456789012345678901"
    image_tag     = null # and digests of one function alone
    image_digests = { predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111" }
    functions     = { predict = { timeout_s = 900 } }
    budget        = { monthly_usd = 500, thresholds = [50] }
    encryption    = { kms_key_arns = { eu-west-1 = "arn:aws:kms:eu-central-1:123456789012:key/1" } }
  }
  expect_failures = [var.name, var.image_tag, var.functions, var.budget, var.encryption]
}

run "fourth" {
  command = plan
  variables {
    name          = "a" # so that nothing that needs a name is planned
    regions       = ["Frankfurt"]
    image_digests = { train = "sha256:1111111111111111111111111111111111111111111111111111111111111111", batch = "x", explain = "y" }
    functions     = { predict = { min_instances = 5, max_instances = 2 } }
    alerts        = { sms = ["0151"] }
  }
  expect_failures = [var.name, var.regions, var.image_digests, var.functions, var.alerts]
}

run "fifth" {
  command = plan
  variables {
    name      = "a" # so that nothing that needs a name is planned
    regions   = []
    functions = { predict = { environment = { PLANT_LIMITS_URI = "redis://:secret@host" } } }
    alerts    = { chat = { slack_workspace_id = "plants", slack_channel_id = "#alerts" } }
  }
  expect_failures = [var.name, var.regions, var.functions, var.alerts]
}

run "sixth" {
  command = plan
  variables {
    name       = "a" # so that nothing that needs a name is planned
    functions  = { predict = { canary = { digest = "latest", percent = 10 } } }
    budget     = { monthly_usd = 500 } # and nobody to tell
    encryption = { kms_key_arns = { us-west-2 = "arn:aws:kms:us-west-2:123456789012:key/1" } }
  }
  expect_failures = [var.name, var.functions, var.budget, var.encryption]
}
