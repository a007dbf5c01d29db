variable "name" {
  description = "Name of the key's alias."
  type        = string
}

variable "region" {
  description = "Region of the key."
  type        = string
}
