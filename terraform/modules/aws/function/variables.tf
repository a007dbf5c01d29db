variable "name" {
  description = "Name of the function."
  type        = string
}

variable "region" {
  description = "Its region; the role is named after it, because roles are those of all regions."
  type        = string
}

variable "image" {
  description = "REPOSITORY@sha256:…"
  type        = string
}

variable "memory_mb" {
  description = "Memory; 1769 MB come with one CPU."
  type        = number
}

variable "timeout_s" {
  description = "Seconds for one request."
  type        = number
}

variable "min_instances" {
  description = "Provisioned concurrency of the alias."
  type        = number
  default     = 0
}

variable "max_instances" {
  description = "Reserved concurrency; null: whatever the account has left."
  type        = number
  default     = null
}

variable "traces" {
  description = "Whether X-Ray records requests."
  type        = bool
  default     = false
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the role; null: none."
  type        = string
  default     = null
}

variable "environment" {
  description = "Environment; no secrets."
  type        = map(string)
}

variable "permissions" {
  description = "Statements of the role by name."
  type        = map(object({ actions = list(string), resources = list(string) }))
}

variable "queue" {
  description = "Queue whose messages it is called for, and how many at once, at least 2; null: none."
  type        = object({ arn = string, max_concurrency = number })
  default     = null
}

variable "kms_key_arn" {
  description = "Key for environment and logs."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
}
