variable "project" {
  description = "Id of the Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is the id of a project: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "name" {
  description = "Name of the registry, and prefix of the rest."
  type        = string
  default     = "plant-disease"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "location" {
  description = "Region or multi-region of state and images, such as europe."
  type        = string
  default     = "europe"

  validation {
    condition     = can(regex("^(europe|us|asia)(-[a-z]+[0-9]+)?$", var.location))
    error_message = "location is europe, us or asia, or a region of them such as europe-west1."
  }
}

variable "repository" {
  description = "Repository on GitHub whose pipelines plan and deploy: OWNER/NAME."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is OWNER/NAME."
  }
}

variable "tags" {
  description = "How tags of versions begin: pipelines of no other reference get an identity."
  type        = string
  default     = "v"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.tags))
    error_message = "tags is how names of tags begin, such as v."
  }
}

variable "environment" {
  description = "Environment on GitHub whose jobs deploy; it should ask people first."
  type        = string
  default     = "production"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.environment))
    error_message = "environment is the name of an environment on GitHub, such as production."
  }
}

variable "billing_account" {
  description = "Billing account of the root's `budget`; null: pipelines make none."
  type        = string
  default     = null

  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account is such as 012345-6789AB-CDEF01."
  }
}

variable "labels" {
  description = "Labels of what can have them."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether the bucket of the state is kept from being deleted while there is a state in it."
  type        = bool
  default     = true
}
