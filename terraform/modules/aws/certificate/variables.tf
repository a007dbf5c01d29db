variable "domain" {
  description = "The host."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone of it."
  type        = string
}

variable "create_record" {
  description = "Whether the record is made here; false where another region's certificate of the same host makes it."
  type        = bool
  default     = true
}
