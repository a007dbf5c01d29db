variable "name" {
  description = "Prefix of the role."
  type        = string
}

variable "source_bucket" {
  description = "The bucket that is written to."
  type        = object({ name = string, arn = string, kms_key_arn = string })
}

variable "destination_bucket" {
  description = "The bucket that gets everything too."
  type        = object({ name = string, arn = string, kms_key_arn = string })
}

variable "alarm_actions" {
  description = "Topics that are told, in the region that is copied from."
  type        = list(string)
}

variable "runbook_url" {
  description = "Where it stands what to do."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the role; null: none."
  type        = string
  default     = null
}
