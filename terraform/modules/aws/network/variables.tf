variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.20.0.0/20"
}
