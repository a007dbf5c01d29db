variable "name" {
  description = "Name of the load balancer."
  type        = string
}

variable "vpc_id" {
  description = "Its network."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets in two zones."
  type        = list(string)
}

variable "certificate_arn" {
  description = "Certificate of its host."
  type        = string
}

variable "logs_bucket" {
  description = "Bucket for access logs."
  type        = string
}

variable "paths" {
  description = "Function to its paths."
  type        = map(list(string))
}

variable "targets" {
  description = "What requests go to: the alias of each function, and of each canary under another key, by weight."
  type        = map(object({ function = string, name = string, alias_arn = string, weight = number }))
}

variable "deletion_protection" {
  description = "Whether it cannot be deleted."
  type        = bool
}
