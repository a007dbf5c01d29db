variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Name of the secret."
  type        = string
}

variable "regions" {
  description = "Regions in which the secret is kept."
  type        = list(string)
}

variable "readers" {
  description = "Who reads the document: for each function the member of IAM policies."
  type        = map(string)
}

variable "labels" {
  description = "Labels of the secret."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether the secret is kept from being deleted."
  type        = bool
  default     = true
}
