# Tells before the bill does.
resource "aws_budgets_budget" "this" {
  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  # AWS refuses a notification of nobody.
  dynamic "notification" {
    for_each = length(var.email) > 0 ? var.thresholds : []
    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = notification.value > 1 ? "FORECASTED" : "ACTUAL"
      threshold                  = notification.value * 100
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.email
    }
  }
}
