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

variable "certificate_arn" {
  description = "Certificate of the host, in us-east-1, where CloudFront takes it from."
  type        = string
}

variable "api_url" {
  description = "Where the functions answer, without a slash at the end."
  type        = string
}

variable "upload_origins" {
  description = "Origins of the buckets that originals are uploaded to, one in each region."
  type        = list(string)
}

variable "deletion_protection" {
  description = "Whether the bucket cannot be destroyed while the page is in it."
  type        = bool
}

variable "folder" {
  description = "static_ui."
  type        = string
}
