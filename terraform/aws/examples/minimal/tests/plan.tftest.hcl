override_data {
  target = module.plant_disease.data.aws_caller_identity.this
  values = { account_id = "123456789012" }
}

override_data {
  target = module.plant_disease.module.primary.module.network.data.aws_availability_zones.this
  values = { names = ["eu-central-1a", "eu-central-1b"] }
}

run "plan" {
  command = plan

  assert {
    condition     = keys(module.plant_disease.functions) == ["primary"] && length(module.plant_disease.functions.primary) == 3
    error_message = "There is not each function, in one region."
  }
}
