# What a service for paying customers has: instances that wait, exact limits, people who are told, traces, a budget.
module "plant_disease" {
  source = "../.."

  project   = "plants-481912"
  domain    = "plants.example.com"
  registry  = "europe-west1-docker.pkg.dev/plants-481912/plant-disease"
  zone_name = "plants"
  traces    = true
  limits    = { store = "redis", on_error = "allow" }
  functions = {
    predict = { min_instances = 2, max_instances = 50 }
    batch   = { min_instances = 1, max_instances = 20 }
    explain = { min_instances = 1, max_instances = 20 }
  }
  alerts = {
    email       = ["oncall@example.com"]
    sms         = ["+4915112345678"]
    runbook_url = "https://docs.example.com/runbook"
  }
  budget = { billing_account = "012345-6789AB-CDEF01", monthly_usd = 1500 }

  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}
