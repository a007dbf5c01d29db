variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "regions" {
  description = "Regions, one Redis in each."
  type        = list(string)
}

variable "memory_gb" {
  description = "Memory of each Redis in GB."
  type        = number
  default     = 1
}

variable "readers" {
  description = "Who reads the addresses with their passwords: for each function the member of IAM policies."
  type        = map(string)
}

variable "labels" {
  description = "Labels of the instances and secrets."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether the instances are kept from being deleted."
  type        = bool
  default     = true
}
