variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Name of the bucket."
  type        = string
}

variable "placement" {
  description = "Where the bucket is: a location, and the two regions where that is a pair."
  type        = object({ location = string, regions = list(string) })
}

variable "turbo_replication" {
  description = "Whether what is written is in both regions within 15 minutes."
  type        = bool
  default     = true
}

variable "kms_key" {
  description = "Key of Cloud KMS to encrypt with; null: Google's own."
  type        = string
  default     = null
}

variable "readers" {
  description = "Who reads models: for each function the member of IAM policies."
  type        = map(string)
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether a bucket that is not empty is kept from being deleted."
  type        = bool
  default     = true
}
