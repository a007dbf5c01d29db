variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "health_checks" {
  description = "Health check of Route 53 of each region."
  type        = map(string)
}

variable "notifications" {
  description = "Topics in us-east-1 for what can wait (warning) and what cannot (page)."
  type        = object({ warning = list(string), page = list(string) })
}

variable "runbook_url" {
  description = "Where it stands what to do."
  type        = string
}
