variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "name" {
  description = "Name of the budget."
  type        = string
}

variable "billing_account" {
  description = "Billing account that pays for the project."
  type        = string
}

variable "monthly_usd" {
  description = "US dollars a month."
  type        = number
}

variable "thresholds" {
  description = "Shares of it at which people are told."
  type        = list(number)
}

variable "notification_channels" {
  description = "Notification channels of Cloud Monitoring: email addresses, five at most."
  type        = list(string)
}
