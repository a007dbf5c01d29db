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

variable "subjects" {
  description = "Subjects of GitHub's tokens that may deploy, in place of the environment production and tags v* of the repository."
  type        = list(string)
  default     = null

  validation {
    condition     = var.subjects == null || try(length(var.subjects) > 0 && alltrue([for subject in var.subjects : can(regex("^repo:[A-Za-z0-9-]+/[A-Za-z0-9._-]+:.+$", subject)) && !endswith(subject, ":*")]), false)
    error_message = "subjects are such as repo:OWNER/NAME:environment:production: of one repository, and not all of it."
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

variable "tags" {
  description = "Tags of everything that can have them."
  type        = map(string)
  default     = {}
}
