variable "bucket_name" {
  description = "Name of its bucket."
  type        = string
}

variable "region" {
  description = "Region of its bucket."
  type        = string
}

variable "domain" {
  description = "Host of the page."
  type        = string
}

variable "zone_id" {
  description = "Route 53 zone."
  type        = string
}

variable "api_url" {
  description = "Where the functions answer, without a slash at the end."
  type        = string
}

variable "upload_origin" {
  description = "Origin of the bucket that originals are uploaded to."
  type        = string
}

variable "folder" {
  description = "static_ui."
  type        = string
}
