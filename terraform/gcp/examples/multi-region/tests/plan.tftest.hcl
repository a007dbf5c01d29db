run "plan" {
  command = plan

  assert {
    condition     = alltrue([for services in module.plant_disease.services : length(services) == 2])
    error_message = "There is not a service for each function and region."
  }
}
