variable "name" {
  description = "Prefix of everything."
  type        = string
}

variable "slack_workspace_id" {
  description = "Workspace (T…), which a person has authorized in the console before."
  type        = string
}

variable "slack_channel_id" {
  description = "Channel (C…, or G… of a private one, to which the app has been invited)."
  type        = string
}

variable "topic_arns" {
  description = "Topics that are shown, of any region."
  type        = list(string)
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the role; null: none."
  type        = string
  default     = null
}
