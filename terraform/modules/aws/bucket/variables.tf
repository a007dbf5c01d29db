variable "name" {
  description = "Name of the bucket, unique in the world."
  type        = string
}

variable "kms_key_arn" {
  description = "Key to encrypt with; null: that of S3."
  type        = string
  default     = null
}

variable "versioned" {
  description = "Whether old versions of objects are kept."
  type        = bool
  default     = true
}

variable "old_versions_days" {
  description = "Days for which they are kept."
  type        = number
  default     = 90
  nullable    = false
}

variable "expire_days" {
  description = "Rules by name: objects under a prefix are deleted after so many days, and their old versions sooner than others."
  type        = map(object({ prefix = string, days = number, old_versions_days = optional(number) }))
  default     = {}
}

variable "put_origins" {
  description = "Origins whose pages may PUT with a presigned URL."
  type        = list(string)
  default     = []
}

variable "policies" {
  description = "Policy documents (JSON) beside the one that refuses plain HTTP."
  type        = list(string)
  default     = []
}

variable "force_destroy" {
  description = "Whether a bucket that is not empty may be destroyed."
  type        = bool
  default     = false
}
