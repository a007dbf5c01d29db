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

variable "retention_days" {
  description = "Days after which a photo is deleted."
  type        = number
  default     = 1
}

variable "origins" {
  description = "Origins of the pages that upload."
  type        = list(string)
}

variable "readers" {
  description = "Who reads photos: for each function the member of IAM policies."
  type        = map(string)
}

variable "signer" {
  description = "Email address of the identity that gives addresses to upload to."
  type        = string
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
}
