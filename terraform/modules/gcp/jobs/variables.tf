variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "bucket_name" {
  description = "Name of the bucket."
  type        = string
}

variable "placement" {
  description = "Where the bucket is: a location, and the regions in which messages are kept."
  type        = object({ location = string, regions = list(string) })
}

variable "domain" {
  description = "Domain of the functions."
  type        = string
}

variable "worker" {
  description = "Email address of the identity of the function that takes jobs and does their chunks."
  type        = string
}

variable "retention_days" {
  description = "Days after which a job and its results are deleted."
  type        = number
  default     = 30
}

variable "late_after_s" {
  description = "Age in seconds of a chunk that nobody has done, from which on somebody is told."
  type        = number
  default     = 3600
}

variable "notification_channels" {
  description = "Who is told."
  type        = list(string)
  default     = []
}

variable "runbook_url" {
  description = "Address of docs/runbook.md."
  type        = string
}

variable "labels" {
  description = "Labels of everything."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether jobs are kept from being deleted with the bucket."
  type        = bool
  default     = true
}
