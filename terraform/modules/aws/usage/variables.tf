variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "region" {
  description = "Region; roles are named after it."
  type        = string
}

variable "bucket" {
  description = "Where events are kept."
  type        = object({ name = string, arn = string })
}

variable "kms_key_arn" {
  description = "Key of the bucket."
  type        = string
}

variable "log_groups" {
  description = "Log groups of the functions."
  type        = map(string)
}

variable "deletion_protection" {
  description = "Whether the workgroup cannot be destroyed while answers are in it."
  type        = bool
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the roles; null: none."
  type        = string
  default     = null
}
