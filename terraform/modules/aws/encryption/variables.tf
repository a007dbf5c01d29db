variable "account_id" {
  description = "The account."
  type        = string
}

variable "name" {
  description = "Name of the key's alias."
  type        = string
}

variable "region" {
  description = "Region of the key."
  type        = string
}

variable "existing_key_arn" {
  description = "Key to use instead of making one."
  type        = string
  default     = null
}
