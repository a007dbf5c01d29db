variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Name of the bucket and of the load balancer's way to it."
  type        = string
}

variable "placement" {
  description = "Where the bucket is: a location, and the two regions where that is a pair."
  type        = object({ location = string, regions = list(string) })
}

variable "folder" {
  description = "Folder with the files of the page."
  type        = string
}

variable "upload_origin" {
  description = "Origin that photos are uploaded to."
  type        = string
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
}
