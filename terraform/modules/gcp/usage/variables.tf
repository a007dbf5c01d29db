variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "bucket_name" {
  description = "Name of the bucket of events and kept answers."
  type        = string
}

variable "placement" {
  description = "Where bucket and dataset are: a location, and the two regions where that is a pair."
  type        = object({ location = string, regions = list(string) })
}

variable "retention_days" {
  description = "Days for which events are kept."
  type        = number
  default     = 400
}

variable "writers" {
  description = "Who writes events: for each function the member of IAM policies."
  type        = map(string)
}

variable "labels" {
  description = "Labels of bucket and dataset."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether what is not empty is kept from being deleted."
  type        = bool
  default     = true
}
