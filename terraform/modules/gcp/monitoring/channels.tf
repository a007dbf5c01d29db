resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.email)

  project      = var.project
  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = var.labels
}

resource "google_monitoring_notification_channel" "sms" {
  for_each = toset(var.sms)

  project      = var.project
  display_name = each.key
  type         = "sms"
  labels       = { number = each.key }
  user_labels  = var.labels
}

resource "google_monitoring_notification_channel" "slack" {
  for_each = toset(var.slack_channel[*])

  project      = var.project
  display_name = each.key
  type         = "slack"
  labels       = { channel_name = each.key }
  user_labels  = var.labels

  sensitive_labels {
    auth_token = var.slack_auth_token
  }
}

locals {
  emails  = [for channel in google_monitoring_notification_channel.email : channel.id]
  warning = concat(local.emails, [for channel in google_monitoring_notification_channel.slack : channel.id])
  page    = concat(local.warning, [for channel in google_monitoring_notification_channel.sms : channel.id])

  channels = { page = local.page, warning = local.warning }
  severity = { page = "CRITICAL", warning = "WARNING" }
}
