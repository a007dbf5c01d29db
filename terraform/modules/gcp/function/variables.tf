variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Name of the services, such as plant-disease-predict."
  type        = string
}

variable "regions" {
  description = "Regions, one service in each."
  type        = list(string)
}

variable "service_account" {
  description = "Email address of the identity of the function."
  type        = string
}

variable "image" {
  description = "Image by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "An image is named by its digest (…@sha256:…): a tag may be moved."
  }
}

variable "canary" {
  description = "Image by digest that gets a share of the requests, in percent; the rest stays with `image`."
  type        = object({ image = string, percent = number })
  default     = null

  validation {
    condition     = var.canary == null || can(regex("@sha256:[0-9a-f]{64}$", var.canary.image))
    error_message = "The image of a canary is named by its digest (…@sha256:…)."
  }
}

variable "settings" {
  description = "Size and scaling: CPUs, memory in MB, requests at once in one instance, seconds for one request, instances, GPU."
  type = object({
    cpu           = number
    memory_mb     = number
    concurrency   = number
    timeout_s     = number
    min_instances = number
    max_instances = number
    gpu           = optional(object({ type = string }))
  })
}

variable "environment" {
  description = "Environment, without secrets."
  type        = map(string)
}

variable "secret_environment" {
  description = "Environment from Secret Manager: for each region, variables and the names of their secrets."
  type        = map(map(string))
  default     = {}
}

variable "secret_files" {
  description = "Files from Secret Manager: for each region, the folder of the file, its name and its secret."
  type        = map(map(object({ folder = string, file = string, secret = string })))
  default     = {}
}

variable "subnets" {
  description = "For each region the subnetwork through which private addresses are reached."
  type        = map(string)
  default     = {}
}

variable "collector_image" {
  description = "Image of the OpenTelemetry collector beside the function, which takes its spans to Cloud Trace; null: none."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels of the services."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether the services are kept from being deleted."
  type        = bool
  default     = true
}
