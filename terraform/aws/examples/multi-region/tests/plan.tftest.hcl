run "plan" {
  command = plan

  assert {
    condition     = alltrue([for region in ["primary", "standby"] : length(module.plant_disease.functions[region]) == 3])
    error_message = "There is not each function in each region."
  }
  assert {
    condition     = startswith(module.plant_disease.images.standby.predict, "123456789012.dkr.ecr.us-west-2.amazonaws.com/")
    error_message = "The second region pulls from the first."
  }
}
