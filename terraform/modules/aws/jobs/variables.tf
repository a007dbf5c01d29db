variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "timeout_s" {
  description = "Seconds that the function may take for a chunk."
  type        = number
}

variable "late_after_s" {
  description = "Age in seconds of a chunk that nobody has done, from which on somebody is told."
  type        = number
  default     = 3600
}

variable "kms_key_arn" {
  description = "Key of the region."
  type        = string
}

variable "alarm_actions" {
  description = "Topics that are told."
  type        = list(string)
}

variable "runbook_url" {
  description = "Where it stands what to do."
  type        = string
}
