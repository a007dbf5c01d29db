variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "domain" {
  description = "Domain of the page and the functions."
  type        = string
}

variable "services" {
  description = "For predict, batch and explain: for each region the name of the Cloud Run service."
  type        = map(map(string))
}

variable "email" {
  description = "Email addresses that are told of everything."
  type        = list(string)
  default     = []
}

variable "sms" {
  description = "Telephone numbers that are told of what cannot wait."
  type        = list(string)
  default     = []
}

variable "slack_channel" {
  description = "Channel of Slack that is told of everything."
  type        = string
  default     = null
}

variable "slack_auth_token" {
  description = "Token of Slack for it."
  type        = string
  default     = null
  sensitive   = true
}

variable "runbook_url" {
  description = "Address of docs/runbook.md."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which log lines are kept."
  type        = number
  default     = 30
}

variable "labels" {
  description = "Labels of policies and channels."
  type        = map(string)
  default     = {}
}
