variable "project" {
  description = "Id of the Google Cloud project; it should have nothing else in it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is the id of a project, such as plants-481912: 6 to 30 lower-case letters, digits and hyphens."
  }
}

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
  description = "Domain of the page and the functions, such as plants.example.com."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain is a name such as plants.example.com: no https://, no path, lower case."
  }
}

variable "zone_name" {
  description = "Managed zone of Cloud DNS in the project that has the domain; null: set the output `records` yourself."
  type        = string
  default     = null
}

variable "regions" {
  description = "One or two regions of one continent. Requests go to the nearest that answers. To change them later, set data_regions to what they were first."
  type        = list(string)
  default     = ["europe-west1", "europe-west4"]

  validation {
    condition     = contains([1, 2], length(var.regions)) && length(distinct(var.regions)) == length(var.regions)
    error_message = "regions are one region or two different ones."
  }
  validation {
    condition     = alltrue([for region in var.regions : can(regex("^(europe|us|asia)-[a-z]+[0-9]+$", region))]) && length(distinct([for region in var.regions : split("-", region)[0]])) == 1
    error_message = "regions are names such as europe-west1, of one continent (europe, us or asia)."
  }
}

variable "data_regions" {
  description = "One or two regions in which buckets and secrets are; null: `regions`. Fixed by the first apply: what holds data cannot move, and another value makes all of it anew, empty."
  type        = list(string)
  default     = null

  # https://docs.cloud.google.com/storage/docs/locations: which regions a bucket can be in two of, and pairs that only have a location of their own.
  validation {
    condition = length(coalesce(var.data_regions, var.regions)) == 1 || alltrue([for region in coalesce(var.data_regions, var.regions) : contains([
      "asia-east1", "asia-southeast1",
      "europe-central2", "europe-north1", "europe-southwest1", "europe-west1", "europe-west3", "europe-west4", "europe-west8", "europe-west9", "europe-west10", "europe-west12",
      "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1", "us-west2", "us-west3", "us-west4",
    ], region)])
    error_message = "No bucket can be in two regions with one of these, such as europe-west2, europe-west6 or asia-northeast1. Set data_regions to one region, or take others."
  }
  validation {
    condition = !contains([
      "europe-north1 europe-west4", "europe-west10 europe-west3", "europe-west12 europe-west8", "us-central1 us-east1",
    ], join(" ", sort(coalesce(var.data_regions, var.regions))))
    error_message = "Google has this pair of regions under a location of its own alone, which is not made here. Take another pair, or set data_regions to one of them."
  }
  validation {
    condition     = var.data_regions == null || try(contains([1, 2], length(var.data_regions)) && length(distinct(var.data_regions)) == length(var.data_regions) && alltrue([for region in var.data_regions : split("-", region)[0] == split("-", var.regions[0])[0]]), false)
    error_message = "data_regions are one region or two different ones, of the continent of regions."
  }
}

variable "registry" {
  description = "Repository of the images, which bootstrap makes: LOCATION-docker.pkg.dev/PROJECT/REPOSITORY."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+-docker\\.pkg\\.dev/[a-z0-9-]+/[a-z0-9-]+$", var.registry))
    error_message = "registry is LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, without https:// and without an image."
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
  description = "Size and scaling of predict, batch and explain, settings (PLANT_…, no secrets), a GPU (\"nvidia-l4\"; then 4 CPUs and 16384 MB at least), and a canary: an image by digest and its share of the requests in percent."
  type = map(object({
    cpu           = optional(number)
    memory_mb     = optional(number)
    concurrency   = optional(number)
    timeout_s     = optional(number)
    min_instances = optional(number)
    max_instances = optional(number)
    environment   = optional(map(string), {})
    gpu           = optional(object({ type = string }))
    canary        = optional(object({ digest = string, percent = number }))
  }))
  default = {}

  validation {
    condition     = alltrue([for function in keys(var.functions) : contains(["predict", "batch", "explain"], function)])
    error_message = "functions are predict, batch and explain."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : contains([1, 2, 4, 6, 8], coalesce(function.cpu, 1))])
    error_message = "cpu of a function is 1, 2, 4, 6 or 8: the service works with whole CPUs."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.memory_mb, 512) >= 512 && coalesce(function.memory_mb, 512) <= 32768])
    error_message = "memory_mb of a function is from 512 to 32768."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.concurrency, 1) >= 1 && coalesce(function.concurrency, 1) <= 17])
    error_message = "concurrency of a function is from 1 to 17: one is worked on and 16 wait (PLANT_MAX_QUEUE), one more is turned away."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.timeout_s, 60) >= 30 && coalesce(function.timeout_s, 60) <= 3600])
    error_message = "timeout_s of a function is from 30 to 3600."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : coalesce(function.min_instances, 0) >= 0 && coalesce(function.max_instances, 10) >= max(1, coalesce(function.min_instances, 0))])
    error_message = "max_instances of a function is at least 1 and at least min_instances, and neither is negative."
  }
  validation {
    condition     = alltrue(flatten([for function in values(var.functions) : [for setting in keys(function.environment) : can(regex("^(PLANT|OTEL)_[A-Z_]+$", setting)) && !contains(["PLANT_LIMITS_URI", "OTEL_EXPORTER_OTLP_HEADERS"], setting)]]))
    error_message = "environment of a function has settings named PLANT_… or OTEL_…, and no secret: PLANT_LIMITS_URI and OTEL_EXPORTER_OTLP_HEADERS hold one."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : function.gpu == null || (coalesce(function.cpu, 1) >= 4 && coalesce(function.memory_mb, 512) >= 16384)])
    error_message = "A function with a gpu has at least cpu = 4 and memory_mb = 16384."
  }
  validation {
    condition     = alltrue([for function in values(var.functions) : try(can(regex("^sha256:[0-9a-f]{64}$", function.canary.digest)) && function.canary.percent >= 0 && function.canary.percent <= 100 && floor(function.canary.percent) == function.canary.percent, function.canary == null)])
    error_message = "A canary has a digest (sha256: and 64 hexadecimal digits) and whole percent from 0 to 100."
  }
}

variable "model" {
  description = "Which model is served: what a channel names, or one version whatever the channel says; and whether models are in both regions within 15 minutes."
  type = object({
    channel           = optional(string, "stable")
    version           = optional(string)
    turbo_replication = optional(bool, true)
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
  description = "Where photos are counted: \"none\" (each instance for itself) or \"redis\" (Memorystore, one in each region); and what happens to requests while they cannot be counted."
  type = object({
    store     = optional(string, "none")
    on_error  = optional(string, "allow")
    memory_gb = optional(number, 1)
  })
  default = {}

  validation {
    condition     = contains(["none", "redis"], var.limits.store)
    error_message = "store of limits is none or redis."
  }
  validation {
    condition     = contains(["allow", "deny"], var.limits.on_error)
    error_message = "on_error of limits is allow or deny."
  }
  validation {
    condition     = var.limits.memory_gb >= 1 && var.limits.memory_gb <= 300
    error_message = "memory_gb of limits is from 1 to 300."
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
  description = "Whether the function batch takes jobs of thousands of photos (docs/jobs.md), and days for which they and their results are kept. How many chunks are done at once is up to max_instances and concurrency of batch."
  type = object({
    enabled        = optional(bool, false)
    retention_days = optional(number, 30)
  })
  default = {}

  validation {
    condition     = var.jobs.retention_days >= 1 && var.jobs.retention_days <= 365
    error_message = "retention_days of jobs is from 1 to 365."
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
  description = "Requests that may come from one address in a minute, whatever key they name; whether Cloud Armor learns what is usual (adaptive, which needs Cloud Armor Enterprise for all it can do)."
  type = object({
    requests_per_minute_by_address = optional(number, 600)
    adaptive                       = optional(bool, false)
  })
  default = {}

  validation {
    condition     = var.protection.requests_per_minute_by_address >= 10 && var.protection.requests_per_minute_by_address <= 1000000
    error_message = "requests_per_minute_by_address of protection is from 10 to 1000000."
  }
}

variable "alerts" {
  description = "Who is told: email addresses and a Slack channel of everything, telephone numbers of what cannot wait; and where the runbook is."
  type = object({
    email         = optional(list(string), [])
    sms           = optional(list(string), [])
    slack_channel = optional(string)
    runbook_url   = optional(string, "docs/runbook.md")
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
    condition     = var.alerts.slack_channel == null || can(regex("^#.", var.alerts.slack_channel))
    error_message = "slack_channel of alerts begins with #."
  }
}

variable "slack_auth_token" {
  description = "Token of the Slack app for alerts.slack_channel. It is a secret, and in the state: give it as TF_VAR_slack_auth_token."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = (var.slack_auth_token == null) == (var.alerts.slack_channel == null)
    error_message = "slack_auth_token and alerts.slack_channel are given together or not at all."
  }
}

variable "budget" {
  description = "US dollars a month, the billing account that pays (in dollars), and the shares of it at which people are told; null: no budget."
  type = object({
    billing_account = string
    monthly_usd     = number
    thresholds      = optional(list(number), [0.5, 0.9, 1.0])
  })
  default = null

  validation {
    condition     = try(can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget.billing_account)) && var.budget.monthly_usd >= 1, var.budget == null)
    error_message = "budget has a billing_account such as 012345-6789AB-CDEF01 and monthly_usd of at least 1."
  }
  validation {
    condition     = try(alltrue([for share in var.budget.thresholds : share > 0 && share <= 2]), true)
    error_message = "thresholds of budget are shares such as 0.5: above 0, at most 2."
  }
}

variable "encryption" {
  description = "Key of Cloud KMS for the models, in the location of their bucket; null: Google's own."
  type        = object({ kms_key = optional(string) })
  default     = {}

  validation {
    condition     = var.encryption.kms_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.encryption.kms_key))
    error_message = "kms_key of encryption is projects/…/locations/…/keyRings/…/cryptoKeys/…."
  }
}

variable "traces" {
  description = "Whether spans go to Cloud Trace, by a collector beside each function."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days for which log lines are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.log_retention_days >= 1 && var.log_retention_days <= 3650
    error_message = "log_retention_days is from 1 to 3650."
  }
}

variable "labels" {
  description = "Labels of everything that can have them."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels have lower-case letters, digits, _ and - in names and values, and names begin with a letter."
  }
}

variable "deletion_protection" {
  description = "Whether services, secrets, Redis and buckets that are not empty are kept from being deleted."
  type        = bool
  default     = true
}
