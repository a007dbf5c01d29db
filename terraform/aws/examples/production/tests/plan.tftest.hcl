run "plan" {
  command = plan

  assert {
    condition     = alltrue([for region in ["primary", "standby"] : length(module.plant_disease.functions[region]) == 3])
    error_message = "There is not each function in each region."
  }
  assert {
    condition     = alltrue([for watched in ["primary", "standby", "site"] : length(module.plant_disease.alarms[watched]) >= 3])
    error_message = "A region or the site has no alarms."
  }
}
