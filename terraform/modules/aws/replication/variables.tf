variable "name" {
  description = "Prefix of the role."
  type        = string
}

variable "source_bucket" {
  description = "The bucket that is written to."
  type        = object({ name = string, arn = string, kms_key_arn = string })
}

variable "destination_bucket" {
  description = "The bucket that gets everything too."
  type        = object({ name = string, arn = string, kms_key_arn = string })
}
