variable "name" {
  description = "Prefix of all names."
  type        = string
  default     = "plant-disease"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "domain" {
  description = "Domain of the page, such as plants.example.com; the functions are at api.DOMAIN."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain is a name such as plants.example.com: no https://, no path, lower case."
  }
}

variable "zone_id" {
  description = "Zone of Route 53 that has the domain."
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]+$", var.zone_id))
    error_message = "zone_id is the id of a zone of Route 53, such as Z0123456789ABC, not its name."
  }
}

variable "regions" {
  description = "One or two regions: the one that answers, and the one that stands by."
  type        = list(string)
  default     = ["eu-central-1", "eu-west-1"]

  validation {
    condition     = contains([1, 2], length(var.regions)) && length(distinct(var.regions)) == length(var.regions)
    error_message = "regions are one region or two different ones."
  }
  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))])
    error_message = "regions are names such as eu-central-1."
  }
}

variable "registry" {
  description = "Where the images are, as bootstrap says it: ACCOUNT.dkr.ecr.REGION.amazonaws.com/PREFIX. Each region reads its own copy."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?/[a-z0-9-]+$", var.registry))
    error_message = "registry is ACCOUNT.dkr.ecr.REGION.amazonaws.com/PREFIX, without https:// and without an image."
  }
}

variable "image_tag" {
  description = "Tag of the three images, which is resolved to digests when it is applied."
  type        = string
  default     = null

  validation {
    condition     = var.image_tag == null || (can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest")
    error_message = "image_tag names one version, such as 2026.11.2; latest names none."
  }
  validation {
    condition     = var.image_tag != null || length(var.image_digests) == 3
    error_message = "Give image_tag, or image_digests of all three functions."
  }
}

variable "image_digests" {
  description = "Digests of images, for pipelines that know them: predict, batch, explain to sha256:…. Where one is given, the tag is not looked up."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for function, digest in var.image_digests : contains(["predict", "batch", "explain"], function) && can(regex("^sha256:[0-9a-f]{64}$", digest))])
    error_message = "image_digests are sha256: and 64 hexadecimal digits, of predict, batch and explain."
  }
}

variable "functions" {
  description = "Size and scaling of predict, batch and explain (1769 MB come with one CPU; min_instances is provisioned and max_instances reserved concurrency), settings (PLANT_…, no secrets), and a canary: an image by digest and its share of the requests in percent."
  type = map(object({
    memory_mb     = optional(number)
    timeout_s     = optional(number)
    min_instances = optional(number)
    max_instances = optional(number)
    environment   = optional(map(string), {})
    canary        = optional(object({ digest = string, percent = number }))
  }))
  default = {}

  validation {
    condition     = alltrue([for function in keys(var.functions) : contains(["predict", "batch", "explain"], function)])
    error_message = "functions are predict, batch and explain."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.memory_mb, 1769) >= 512 && coalesce(function.memory_mb, 1769) <= 10240])
    error_message = "memory_mb of a function is from 512 to 10240."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.timeout_s, 30) >= 30 && coalesce(function.timeout_s, 30) <= 60])
    error_message = "timeout_s of a function is from 30, because a batch may take 25, to 60, before the load balancer gives up."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.min_instances, 0) >= 0 && coalesce(function.max_instances, 1000) >= max(1, coalesce(function.min_instances, 0))])
    error_message = "max_instances of a function is at least 1 and at least min_instances, and neither is negative."
  }
  validation {
    condition     = alltrue(flatten([for function in values(var.functions) : [for setting in keys(function.environment) : can(regex("^(PLANT|OTEL)_[A-Z0-9_]+$", setting)) && !contains(["PLANT_LIMITS_URI", "PLANT_WEBHOOK_SECRET", "OTEL_EXPORTER_OTLP_HEADERS"], setting)]]))
    error_message = "environment of a function has settings named PLANT_… or OTEL_…, and no secret: PLANT_LIMITS_URI, PLANT_WEBHOOK_SECRET and OTEL_EXPORTER_OTLP_HEADERS may hold one."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : try(can(regex("^sha256:[0-9a-f]{64}$", function.canary.digest)) && function.canary.percent >= 0 && function.canary.percent <= 100 && floor(function.canary.percent) == function.canary.percent, function.canary == null)])
    error_message = "A canary has a digest (sha256: and 64 hexadecimal digits) and whole percent from 0 to 100."
  }
}

variable "model" {
  description = "Which model is served: what a channel names, or one version whatever the channel says."
  type = object({
    channel = optional(string, "stable")
    version = optional(string)
  })
  default = {}

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*$", var.model.channel)) && (var.model.version == null || can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*$", var.model.version)))
    error_message = "channel and version of model are names such as stable and 2026.11.2."
  }
}

variable "auth" {
  description = "Whether a key is asked for, and the plan of callers without one."
  type = object({
    required       = optional(bool, true)
    anonymous_plan = optional(string)
  })
  default = {}

  validation {
    condition     = var.auth.required || var.auth.anonymous_plan == null
    error_message = "anonymous_plan of auth is for callers without a key where keys are required; with required = false nobody has a plan."
  }
}

variable "cors_origins" {
  description = "Further origins whose pages use the functions and upload photos."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for origin in var.cors_origins : can(regex("^https?://[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "cors_origins are such as https://leaves.example: lower case, no path, no slash at the end, no *."
  }
}

variable "limits" {
  description = "Where photos are counted: \"none\" (each instance for itself) or \"dynamodb\" (one table, of both regions); and what happens to requests while they cannot be counted."
  type = object({
    store    = optional(string, "none")
    on_error = optional(string, "allow")
  })
  default = {}

  validation {
    condition     = contains(["none", "dynamodb"], var.limits.store)
    error_message = "store of limits is none or dynamodb."
  }
  validation {
    condition     = contains(["allow", "deny"], var.limits.on_error)
    error_message = "on_error of limits is allow or deny."
  }
}

variable "uploads" {
  description = "Days after which uploaded photos are deleted."
  type        = object({ retention_days = optional(number, 1) })
  default     = {}

  validation {
    condition     = var.uploads.retention_days >= 1 && var.uploads.retention_days <= 30
    error_message = "retention_days of uploads is from 1 to 30: photos are not kept."
  }
}

variable "jobs" {
  description = "Whether the function batch takes jobs of thousands of photos (docs/jobs.md), days for which they and their results are kept, and chunks that are done at once in a region."
  type = object({
    enabled         = optional(bool, false)
    retention_days  = optional(number, 30)
    max_concurrency = optional(number, 5)
  })
  default = {}

  validation {
    condition     = var.jobs.retention_days >= 1 && var.jobs.retention_days <= 365
    error_message = "retention_days of jobs is from 1 to 365."
  }
  validation {
    condition     = var.jobs.max_concurrency >= 2 && var.jobs.max_concurrency <= 1000
    error_message = "max_concurrency of jobs is from 2 to 1000."
  }
}

variable "usage" {
  description = "Days for which usage events are kept."
  type        = object({ retention_days = optional(number, 400) })
  default     = {}

  validation {
    condition     = var.usage.retention_days >= 62
    error_message = "retention_days of usage is at least 62, so that the month before can be billed."
  }
}

variable "protection" {
  description = "Requests a minute of one key, and without a key of one address; whether the firewall logs requests, without their keys."
  type = object({
    requests_per_minute_by_key     = optional(number, 600)
    requests_per_minute_by_address = optional(number, 300)
    log                            = optional(bool, false)
  })
  default = {}

  validation {
    condition     = alltrue([for requests in [var.protection.requests_per_minute_by_key, var.protection.requests_per_minute_by_address] : requests >= 10 && requests <= 1000000])
    error_message = "Requests a minute of protection are from 10 to 1000000."
  }
}

variable "alerts" {
  description = "Who is told: email addresses and a Slack channel of everything, telephone numbers of what cannot wait; and where the runbook is."
  type = object({
    email       = optional(list(string), [])
    sms         = optional(list(string), [])
    chat        = optional(object({ slack_workspace_id = string, slack_channel_id = string }))
    runbook_url = optional(string, "docs/runbook.md")
  })
  default = {}

  validation {
    condition     = alltrue([for address in var.alerts.email : can(regex("^[^@\\s]+@[^@\\s]+\\.[a-z]+$", address))])
    error_message = "email of alerts are addresses such as oncall@example.com."
  }
  validation {
    condition     = alltrue([for number in var.alerts.sms : can(regex("^\\+[1-9][0-9]{6,14}$", number))])
    error_message = "sms of alerts are telephone numbers such as +4915112345678."
  }
  validation {
    condition     = var.alerts.chat == null || (can(regex("^T[A-Z0-9]+$", var.alerts.chat.slack_workspace_id)) && can(regex("^[CG][A-Z0-9]+$", var.alerts.chat.slack_channel_id)))
    error_message = "chat of alerts has ids of Slack, not names: slack_workspace_id begins with T, slack_channel_id with C or G."
  }
}

variable "budget" {
  description = "US dollars a month of the whole account, and the shares of it at which alerts.email is told (above 1: of what is forecast); null: no budget."
  type = object({
    monthly_usd = number
    thresholds  = optional(list(number), [0.5, 0.9, 1.0])
  })
  default = null

  validation {
    condition     = try(var.budget.monthly_usd >= 1, var.budget == null)
    error_message = "budget has monthly_usd of at least 1."
  }
  validation {
    condition     = try(length(var.budget.thresholds) <= 5 && alltrue([for share in var.budget.thresholds : share > 0 && share <= 2]), true)
    error_message = "thresholds of budget are at most five shares such as 0.5: above 0, at most 2."
  }
  validation {
    condition     = var.budget == null || length(var.alerts.email) > 0
    error_message = "budget tells alerts.email, and there is nobody in it."
  }
}

variable "encryption" {
  description = "Keys of KMS by region, where they are not to be made here; us-east-1 has one too, for the alarms of the whole site. Their policies must say what that of modules/aws/encryption does."
  type        = object({ kms_key_arns = optional(map(string), {}) })
  default     = {}

  validation {
    condition     = alltrue([for region, arn in var.encryption.kms_key_arns : can(regex("^arn:[a-z-]+:kms:${region}:[0-9]{12}:key/.+$", arn)) && contains(concat(var.regions, ["us-east-1"]), region)])
    error_message = "kms_key_arns of encryption map regions, or us-east-1, to arn:aws:kms:REGION:ACCOUNT:key/…, a key of that region."
  }
}

variable "traces" {
  description = "Whether X-Ray records requests."
  type        = bool
  default     = false
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds every role that is made, as bootstrap says it; its deploy role may make no others. null: none, where a person applies."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn is arn:aws:iam::ACCOUNT:policy/NAME."
  }
}

variable "log_retention_days" {
  description = "Days for which log lines are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.log_retention_days)
    error_message = "log_retention_days is what CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827 or 3653."
  }
}

variable "tags" {
  description = "Tags of everything that can have them."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.tags : can(regex("^[\\w .:/=+@-]{1,128}$", key)) && !startswith(lower(key), "aws:") && can(regex("^[\\w .:/=+@-]{0,256}$", value))])
    error_message = "tags have letters, digits, spaces and _ . : / = + - @ in names and values, and names do not begin with aws:."
  }
}

variable "deletion_protection" {
  description = "Whether load balancers, tables and buckets that are not empty, that of the page too, are kept from being deleted."
  type        = bool
  default     = true
}
