variable "name" {
  description = "Prefix of all names, the same as in the root."
  type        = string
  default     = "plant-disease"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name has 3 to 20 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "regions" {
  description = "One or two regions, the same as in the root."
  type        = list(string)
  default     = ["eu-central-1", "eu-west-1"]

  validation {
    condition     = contains([1, 2], length(var.regions)) && length(distinct(var.regions)) == length(var.regions)
    error_message = "regions are one region or two different ones."
  }
}

variable "repository" {
  description = "Repository on GitHub that may deploy: OWNER/NAME. null: nobody but people."
  type        = string
  default     = null

  validation {
    condition     = var.repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is OWNER/NAME."
  }
}

variable "ref" {
  description = "Branch or tags of the repository from which the pipeline builds and plans."
  type        = string
  default     = "refs/tags/v*"

  validation {
    condition     = can(regex("^refs/(heads|tags)/[A-Za-z0-9._/-]+[*]?$", var.ref))
    error_message = "ref is such as refs/heads/main or refs/tags/v*: not everything."
  }
}

variable "environment" {
  description = "Environment of the repository in which the pipeline applies; give it reviewers."
  type        = string
  default     = "production"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.environment))
    error_message = "environment is the name of one environment on GitHub."
  }
}

variable "oidc_provider_arn" {
  description = "The account's identity provider for GitHub, where it has one already; null: it is made."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/token[.]actions[.]githubusercontent[.]com$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn is arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com."
  }
}

variable "deletion_protection" {
  description = "Whether the bucket of the state and the repositories are kept from being destroyed while there is something in them."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of everything that can have them."
  type        = map(string)
  default     = {}
}
