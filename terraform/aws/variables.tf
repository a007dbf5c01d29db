variable "name" {
  description = "Prefix of everything."
  type        = string
  default     = "plant-disease"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name: 3 to 20 lowercase letters, digits and hyphens, beginning with a letter."
  }
}

variable "domain" {
  description = "Host of the page, such as plants.example.com; the API is on api.DOMAIN."
  type        = string
  validation {
    condition     = can(regex("^([a-z0-9-]+[.])+[a-z]{2,}$", var.domain))
    error_message = "domain: a host name in lower case, such as plants.example.com."
  }
}

variable "zone_id" {
  description = "Route 53 zone of the domain."
  type        = string
  validation {
    condition     = can(regex("^Z[A-Z0-9]+$", var.zone_id))
    error_message = "zone_id: the id of a Route 53 zone, such as Z0123456789ABC."
  }
}

variable "regions" {
  description = "One or two regions: the first one, and the one that stands by."
  type        = list(string)
  validation {
    condition     = contains([1, 2], length(var.regions)) && length(distinct(var.regions)) == length(var.regions)
    error_message = "regions: one or two different regions."
  }
}

variable "registry" {
  description = "Where the images are: ACCOUNT.dkr.ecr.REGION.amazonaws.com/PREFIX; each region reads its own copy."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}[.]dkr[.]ecr[.][a-z0-9-]+[.]amazonaws[.]com/[a-z0-9-]+$", var.registry))
    error_message = "registry: ACCOUNT.dkr.ecr.REGION.amazonaws.com/PREFIX, as bootstrap tells it."
  }
}

variable "image_tag" {
  description = "Tag of the images; it is resolved to digests."
  type        = string
  validation {
    condition     = var.image_tag != "latest" && length(var.image_tag) > 0
    error_message = "image_tag: a tag that does not move; latest does."
  }
}

variable "image_digests" {
  description = "Function to sha256:…, in place of what the tag says."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for key, digest in var.image_digests : contains(["predict", "batch", "explain"], key) && can(regex("^sha256:[0-9a-f]{64}$", digest))])
    error_message = "image_digests: predict, batch or explain to sha256: and 64 hexadecimal digits."
  }
}

variable "functions" {
  description = "The functions; 1769 MB come with one CPU."
  type = map(object({
    memory_mb     = optional(number, 1769)
    timeout_s     = optional(number, 30)
    min_instances = optional(number, 0)
    max_instances = optional(number)
    snap_start    = optional(bool, false)
    environment   = optional(map(string), {})
    canary        = optional(object({ digest = string, percent = number }))
  }))
  default = { predict = {}, batch = {}, explain = { memory_mb = 2048 } }
  validation {
    condition     = toset(keys(var.functions)) == toset(["predict", "batch", "explain"])
    error_message = "functions: predict, batch and explain."
  }
  validation {
    condition     = alltrue([for f in var.functions : f.memory_mb >= 512 && f.memory_mb <= 10240])
    error_message = "functions: memory_mb from 512 to 10240."
  }
  validation {
    condition     = alltrue([for f in var.functions : !f.snap_start || f.min_instances == 0])
    error_message = "functions: snap_start and min_instances exclude each other."
  }
  validation {
    condition     = alltrue([for f in var.functions : f.canary == null || try(f.canary.percent >= 0 && f.canary.percent <= 100 && can(regex("^sha256:[0-9a-f]{64}$", f.canary.digest)), false)])
    error_message = "functions: a canary has a digest (sha256:…) and a percent from 0 to 100."
  }
}

variable "limits" {
  description = "Where photos are counted."
  type        = object({ store = optional(string, "none"), on_error = optional(string, "allow") })
  default     = {}
  validation {
    condition     = contains(["none", "dynamodb"], var.limits.store) && contains(["allow", "deny"], var.limits.on_error)
    error_message = "limits: store is none or dynamodb, on_error is allow or deny."
  }
}

variable "uploads" {
  description = "Uploads are deleted after so many days."
  type        = object({ retention_days = optional(number, 1) })
  default     = {}
  validation {
    condition     = var.uploads.retention_days >= 1 && var.uploads.retention_days <= 30
    error_message = "uploads: retention_days from 1 to 30."
  }
}

variable "usage" {
  description = "Usage events are deleted after so many days."
  type        = object({ retention_days = optional(number, 400) })
  default     = {}
  validation {
    condition     = var.usage.retention_days >= 31
    error_message = "usage: retention_days of at least 31, or invoices cannot be made."
  }
}

variable "budget" {
  description = "Whom to tell of is in alerts.email; null: no budget."
  type        = object({ monthly_usd = number, thresholds = optional(list(number), [0.5, 0.9, 1]) })
  default     = null
  validation {
    condition     = var.budget == null || try(var.budget.monthly_usd > 0, false)
    error_message = "budget: monthly_usd above 0."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_retention_days)
    error_message = "log_retention_days: one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365."
  }
}

variable "deletion_protection" {
  description = "Whether what holds data cannot be deleted."
  type        = bool
  default     = true
}

variable "tags" {
  description = "On everything."
  type        = map(string)
  default     = {}
}

variable "auth" {
  description = "Whether a key is asked for, and the plan of callers without one."
  type        = object({ required = optional(bool, true), anonymous_plan = optional(string) })
  default     = {}
}

variable "model" {
  description = "The channel that is followed, or the version that is pinned."
  type        = object({ channel = optional(string, "stable"), version = optional(string) })
  default     = {}
}

variable "protection" {
  description = "What the firewall lets one key and one address ask for, and whether it logs."
  type        = object({ requests_per_minute_by_key = optional(number, 600), requests_per_minute_by_address = optional(number, 300), log = optional(bool, false) })
  default     = {}
}

variable "alerts" {
  description = "Who is told, and where it stands what to do."
  type        = object({ email = optional(list(string), []), sms = optional(list(string), []), runbook_url = optional(string, "docs/runbook.md") })
  default     = {}
}
