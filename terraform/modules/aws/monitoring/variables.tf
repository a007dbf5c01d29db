variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "functions" {
  description = "The functions and their canaries: which of predict, batch, explain each is, its name, and its target group as metrics call it."
  type        = map(object({ function = string, name = string, target_group = string }))
}

variable "load_balancer" {
  description = "What metrics call the load balancer."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate of the host."
  type        = string
}

variable "usage_stream" {
  description = "Delivery stream of the usage events."
  type        = string
}

variable "notifications" {
  description = "Topics for what can wait (warning) and what cannot (page)."
  type        = object({ warning = list(string), page = list(string) })
}

variable "runbook_url" {
  description = "Where it stands what to do."
  type        = string
}
