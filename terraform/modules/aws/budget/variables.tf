variable "name" {
  description = "Name of the budget."
  type        = string
}

variable "monthly_usd" {
  description = "Dollars in a month, of the whole account."
  type        = number
}

variable "thresholds" {
  description = "Shares of it at which to tell; above 1 of what is forecast."
  type        = list(number)
}

variable "email" {
  description = "Who is told."
  type        = list(string)
}
