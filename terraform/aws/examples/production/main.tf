# What a service for paying customers has: a second region, instances that wait, exact limits, people who are told, traces, a budget.
module "plant_disease" {
  source = "../.."

  regions  = ["eu-central-1", "eu-west-1"]
  domain   = "plants.example.com"
  zone_id  = "Z0123456789ABCDEFGHIJ"
  registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease"
  traces   = true
  limits   = { store = "dynamodb", on_error = "allow" }
  functions = {
    predict = { min_instances = 2, max_instances = 50 }
    batch   = { min_instances = 1, max_instances = 20 }
    explain = { min_instances = 1, max_instances = 20 }
  }
  alerts = {
    email       = ["oncall@example.com"]
    sms         = ["+4915112345678"]
    chat        = { slack_workspace_id = "T0123456789", slack_channel_id = "C0123456789" }
    runbook_url = "https://docs.example.com/runbook"
  }
  budget     = { monthly_usd = 1500 }
  protection = { log = true }
  # Of the pipeline's role, as bootstrap says it.
  permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary-plant-disease"

  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}
