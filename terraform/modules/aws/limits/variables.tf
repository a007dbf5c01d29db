variable "name" {
  description = "Name of the table."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the first region."
  type        = string
}

variable "replica" {
  description = "The second region and its key."
  type        = object({ region = string, kms_key_arn = string })
  default     = null
}

variable "deletion_protection" {
  description = "Whether it cannot be deleted."
  type        = bool
}
