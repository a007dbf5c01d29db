# A plan asks AWS for nothing but these.
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

run "whole" {
  command = plan
  variables {
    name       = "a2345678901234567890"
    limits     = { store = "dynamodb" }
    traces     = true
    alerts     = { email = ["oncall@example.com"], sms = ["+4915112345678"], chat = { slack_workspace_id = "T0123", slack_channel_id = "C0123" } }
    budget     = { monthly_usd = 500 }
    protection = { log = true }
    functions = {
      predict = { canary = { digest = "sha256:4444444444444444444444444444444444444444444444444444444444444444", percent = 10 } }
      explain = { min_instances = 1, canary = { digest = "sha256:4444444444444444444444444444444444444444444444444444444444444444", percent = 10 } }
    }
  }
  assert {
    condition     = length(output.image_digests) == 3
    error_message = "x"
  }
}
