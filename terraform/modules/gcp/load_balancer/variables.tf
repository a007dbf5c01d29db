variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Prefix of all names."
  type        = string
}

variable "domain" {
  description = "Domain of the page and the functions."
  type        = string
}

variable "zone_name" {
  description = "Managed zone of Cloud DNS for the records; null: a person sets them."
  type        = string
  default     = null
}

variable "services" {
  description = "For predict, batch and explain: for each region the name of the Cloud Run service."
  type        = map(map(string))
}

variable "page" {
  description = "Id of the backend of the page."
  type        = string
}

variable "security_policy" {
  description = "Id of the security policy of Cloud Armor."
  type        = string
}

variable "labels" {
  description = "Labels of the address and the certificate."
  type        = map(string)
  default     = {}
}
