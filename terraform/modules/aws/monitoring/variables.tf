variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "functions" {
  description = "predict, batch, explain to the names of the functions."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key of the topic."
  type        = string
}

variable "email" {
  description = "Addresses that are told."
  type        = list(string)
}

variable "sms" {
  description = "Telephone numbers that are told."
  type        = list(string)
}

variable "runbook_url" {
  description = "Where it stands what to do."
  type        = string
}
