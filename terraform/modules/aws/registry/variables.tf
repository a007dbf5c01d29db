variable "account_id" {
  description = "The account."
  type        = string
}

variable "name" {
  description = "Prefix of the repositories, and of the functions that may pull."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "deletion_protection" {
  description = "Whether a repository cannot be destroyed while images are in it."
  type        = bool
}
