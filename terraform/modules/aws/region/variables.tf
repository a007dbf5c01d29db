variable "account_id" {
  description = "The account."
  type        = string
}

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
  description = "The functions, with everything said."
  type = map(object({
    memory_mb     = number
    timeout_s     = number
    min_instances = number
    max_instances = number
    environment   = map(string)
    canary        = object({ digest = string, percent = number })
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

variable "jobs" {
  description = "Whether there are jobs, days for which they and their results are kept, and chunks that are done at once."
  type        = object({ enabled = bool, retention_days = number, max_concurrency = number })
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
  type        = object({ required = bool, anonymous_plan = string })
}

variable "model" {
  description = "The channel that is followed, or the version that is pinned."
  type        = object({ channel = string, version = string })
}

variable "protection" {
  description = "What the firewall lets one key and one address ask for, and whether it logs."
  type        = object({ requests_per_minute_by_key = number, requests_per_minute_by_address = number, log = bool })
}

variable "alerts" {
  description = "Who is told, and where it stands what to do."
  type        = object({ email = list(string), sms = list(string), runbook_url = string })
}

variable "cors_origins" {
  description = "Further origins whose pages use the functions and upload photos."
  type        = list(string)
}

variable "traces" {
  description = "Whether X-Ray records requests."
  type        = bool
}

variable "kms_key_arn" {
  description = "Key of the region; null: one is made."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds every role; null: none."
  type        = string
}
