variable "name" {
  description = "Prefix of everything."
  type        = string
  default     = "plant-disease"
}

variable "regions" {
  description = "One or two regions, as for the root."
  type        = list(string)
  validation {
    condition     = contains([1, 2], length(var.regions)) && length(distinct(var.regions)) == length(var.regions)
    error_message = "regions: one or two different regions."
  }
}
