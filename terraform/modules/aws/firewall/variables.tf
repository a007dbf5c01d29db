variable "name" {
  description = "Name of the access control list."
  type        = string
}

variable "load_balancer_arn" {
  description = "What it stands before."
  type        = string
}

variable "requests_per_minute_by_key" {
  description = "Most requests of one key in a minute."
  type        = number
}

variable "requests_per_minute_by_address" {
  description = "Most requests of one address without a key in a minute."
  type        = number
}

variable "log" {
  description = "Whether requests are logged, without keys."
  type        = bool
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key for the logs."
  type        = string
}
