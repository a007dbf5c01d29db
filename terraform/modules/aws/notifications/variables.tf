variable "account_id" {
  description = "The account."
  type        = string
}

variable "name" {
  description = "Prefix of the topics."
  type        = string
}

variable "region" {
  description = "The region; alarms reach only topics of their own."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the topics, which CloudWatch must be allowed to use."
  type        = string
}

variable "email" {
  description = "Addresses that are told everything."
  type        = list(string)
}

variable "sms" {
  description = "Telephone numbers that are told what cannot wait."
  type        = list(string)
}
