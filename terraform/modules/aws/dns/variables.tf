variable "zone_id" {
  description = "Route 53 zone."
  type        = string
}

variable "host" {
  description = "Host of the API."
  type        = string
}

variable "load_balancers" {
  description = "primary and, with two regions, standby."
  type        = map(object({ dns_name = string, zone_id = string }))
}
