# WAFv2 before the load balancer. What it looks at must let binary photos pass.
locals {
  key_headers = ["x-api-key", "authorization"]
  # Who shows no key is counted by address. Who makes keys up gets a count for each of them, so that an address has a limit of its own
  # whatever it shows; it is high enough for several customers behind one address.
  rates = merge(
    { for number, header in local.key_headers : "rate-by-${header}" => { priority = 10 + number, limit = var.requests_per_minute_by_key, header = [header], without_key = [] } },
    {
      rate-by-address = { priority = 20, limit = var.requests_per_minute_by_address, header = [], without_key = ["no-key"] }
      rate-of-address = { priority = 21, limit = 10 * max(var.requests_per_minute_by_key, var.requests_per_minute_by_address), header = [], without_key = [] }
    },
  )
  managed = {
    # Count instead of block: the size of a photo, and patterns that the bytes of a photo match by chance.
    AWSManagedRulesCommonRuleSet = {
      priority = 30
      counted  = ["SizeRestrictions_BODY", "CrossSiteScripting_BODY", "GenericLFI_BODY", "GenericRFI_BODY", "EC2MetaDataSSRF_BODY"]
    }
    AWSManagedRulesKnownBadInputsRuleSet  = { priority = 31, counted = [] }
    AWSManagedRulesAmazonIpReputationList = { priority = 32, counted = [] }
  }
}

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192:AWSManagedRulesKnownBadInputsRuleSet is in local.managed, and blocks; checkov does not see dynamic rules
  #checkov:skip=CKV2_AWS_31:logging is an option (var.log): every request is charged for
  name  = var.name
  scope = "REGIONAL"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.rates
    content {
      name     = rule.key
      priority = rule.value.priority
      action {
        block {
          custom_response {
            response_code = 429
            response_header {
              name  = "retry-after"
              value = "60"
            }
          }
        }
      }
      statement {
        rate_based_statement {
          limit                 = rule.value.limit
          evaluation_window_sec = 60
          aggregate_key_type    = length(rule.value.header) > 0 ? "CUSTOM_KEYS" : "IP"
          dynamic "custom_key" {
            for_each = rule.value.header
            content {
              header {
                name = custom_key.value
                text_transformation {
                  priority = 0
                  type     = "NONE"
                }
              }
            }
          }
          dynamic "scope_down_statement" {
            for_each = rule.value.without_key
            content {
              and_statement {
                dynamic "statement" {
                  for_each = local.key_headers
                  content {
                    not_statement {
                      statement {
                        size_constraint_statement {
                          comparison_operator = "GT"
                          size                = 0
                          field_to_match {
                            single_header {
                              name = statement.value
                            }
                          }
                          text_transformation {
                            priority = 0
                            type     = "NONE"
                          }
                        }
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = false
      }
    }
  }

  dynamic "rule" {
    for_each = local.managed
    content {
      name     = rule.key
      priority = rule.value.priority
      override_action {
        none {}
      }
      statement {
        managed_rule_group_statement {
          name        = rule.key
          vendor_name = "AWS"
          dynamic "rule_action_override" {
            for_each = rule.value.counted
            content {
              name = rule_action_override.value
              action_to_use {
                count {}
              }
            }
          }
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = false
      }
    }
  }

  # Samples would show keys in headers.
  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  resource_arn = var.load_balancer_arn
  web_acl_arn  = aws_wafv2_web_acl.this.arn
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:log_retention_days decides
  for_each          = toset(var.log ? ["waf"] : [])
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  for_each                = aws_cloudwatch_log_group.this
  resource_arn            = aws_wafv2_web_acl.this.arn
  log_destination_configs = [each.value.arn]

  dynamic "redacted_fields" {
    for_each = toset(local.key_headers)
    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }
}
