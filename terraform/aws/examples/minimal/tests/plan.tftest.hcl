run "plan" {
  command = plan

  assert {
    condition     = keys(module.plant_disease.functions) == ["primary"] && length(module.plant_disease.functions.primary) == 3
    error_message = "There is not each function, in one region."
  }
  assert {
    condition     = module.plant_disease.api_url == "https://api.plants.example.com"
    error_message = "The functions are somewhere else."
  }
}
