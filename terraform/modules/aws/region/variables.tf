variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "domain" {
  description = "Host of the page; the API is on api.DOMAIN."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone of the domain."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "primary" {
  description = "Whether it is the first one."
  type        = bool
}

variable "images" {
  description = "Function to REPOSITORY@sha256:…"
  type        = map(string)
}

variable "functions" {
  description = "The functions."
  type = map(object({
    memory_mb     = optional(number, 1769)
    timeout_s     = optional(number, 30)
    min_instances = optional(number, 0)
    max_instances = optional(number)
    snap_start    = optional(bool, false)
    environment   = optional(map(string), {})
    canary        = optional(object({ digest = string, percent = number }))
  }))
}

variable "limits_table" {
  description = "DynamoDB table of the limits; null: each instance counts for itself."
  type        = string
}

variable "limits_on_error" {
  description = "allow or deny."
  type        = string
}

variable "uploads_retention_days" {
  description = "Days for which uploads are kept."
  type        = number
}

variable "usage_retention_days" {
  description = "Days for which usage events are kept."
  type        = number
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
}

variable "deletion_protection" {
  description = "Whether what holds data cannot be deleted."
  type        = bool
}

variable "auth" {
  description = "Whether a key is asked for, and the plan of callers without one."
  type        = object({ required = optional(bool, true), anonymous_plan = optional(string) })
}

variable "model" {
  description = "The channel that is followed, or the version that is pinned."
  type        = object({ channel = optional(string, "stable"), version = optional(string) })
}

variable "protection" {
  description = "What the firewall lets one key and one address ask for, and whether it logs."
  type        = object({ requests_per_minute_by_key = optional(number, 600), requests_per_minute_by_address = optional(number, 300), log = optional(bool, false) })
}

variable "alerts" {
  description = "Who is told, and where it stands what to do."
  type        = object({ email = optional(list(string), []), sms = optional(list(string), []), runbook_url = optional(string, "docs/runbook.md") })
}
