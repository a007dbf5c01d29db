variable "account_id" {
  description = "The account."
  type        = string
}

variable "name" {
  description = "The root's variable name: what the roles may change begins with it."
  type        = string
}

variable "state_bucket_arn" {
  description = "Bucket of the state."
  type        = string
}

variable "subjects" {
  description = "Who may take each role: subjects of GitHub's tokens, with * as a wildcard."
  type        = object({ plan = list(string), deploy = list(string) })
}

variable "oidc_provider_arn" {
  description = "The account's identity provider for GitHub; null: it is made."
  type        = string
  default     = null
}
