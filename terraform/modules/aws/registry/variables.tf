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
