variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Name of the security policy."
  type        = string
}

variable "requests_per_minute_by_address" {
  description = "Requests that may come from one address in a minute."
  type        = number
}

variable "pushed_paths" {
  description = "Paths that Pub/Sub posts to."
  type        = list(string)
  default     = []
}

variable "adaptive" {
  description = "Whether Cloud Armor learns what is usual, and proposes rules against floods."
  type        = bool
  default     = false
}
