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
}

variable "location" {
  description = "Region or multi-region of state and images, such as europe."
  type        = string
  default     = "europe"
}

variable "repository" {
  description = "Repository on GitHub that may deploy: OWNER/NAME."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "repository is OWNER/NAME."
  }
}

variable "labels" {
  description = "Labels of what can have them."
  type        = map(string)
  default     = {}
}
