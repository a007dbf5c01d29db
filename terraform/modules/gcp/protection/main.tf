locals {
  # The first 8 KB of a body are compared with signatures of text (https://cloud.google.com/armor/docs/security-policy-overview#post-limitation).
  # A JPEG is noise to them and is refused by chance. So requests with a body, which are photos, are let through here: the functions
  # hold every body to be a photo or a closed model (docs/security.md). What has none is looked at whole.
  without_body = "(request.method == 'GET' || request.method == 'HEAD' || request.method == 'OPTIONS')"
  attacks      = ["sqli", "xss", "lfi", "rfi", "rce", "protocolattack", "sessionfixation"]
}

resource "google_compute_security_policy" "edge" {
  #checkov:skip=CKV_GCP_73: rule 1200 has cve-canary, written as evaluatePreconfiguredWaf; the check knows the older name alone
  project     = var.project
  name        = var.name
  description = "What is refused before it reaches a function"
  type        = "CLOUD_ARMOR"

  dynamic "rule" {
    for_each = local.attacks
    content {
      action      = "deny(403)"
      priority    = 1000 + rule.key
      description = "${rule.value}, in requests without a photo"
      match {
        expr {
          expression = "${local.without_body} && evaluatePreconfiguredWaf('${rule.value}-v33-stable', {'sensitivity': 1})"
        }
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 1100
    description = "Scanners, which name themselves in a header"
    match {
      expr {
        expression = "${local.without_body} && evaluatePreconfiguredWaf('scannerdetection-v33-stable', {'sensitivity': 1})"
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 1200
    description = "Log4j and other signatures too long to be in a photo by chance"
    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary', {'sensitivity': 1})"
      }
    }
  }

  # What Google itself calls from few addresses: of these, all callers together have a rate. The function asks for a token of Google's.
  dynamic "rule" {
    for_each = var.pushed_paths
    content {
      action      = "throttle"
      priority    = 1900 + rule.key
      description = "Requests a minute to ${rule.value}"
      match {
        expr {
          expression = "request.path == '${rule.value}' && request.method == 'POST'"
        }
      }
      rate_limit_options {
        conform_action = "allow"
        exceed_action  = "deny(429)"
        enforce_on_key = "ALL"
        rate_limit_threshold {
          count        = 6000
          interval_sec = 60
        }
      }
    }
  }

  # By address and by nothing that a caller makes up: a new key in each request would be counted anew each time. Cloud Armor stops at the
  # first rule that matches, one of a rate as well, so there cannot be a second rate by key; the functions hold every key to its plan.
  rule {
    action      = "throttle"
    priority    = 2000
    description = "Requests a minute by address"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"
      rate_limit_threshold {
        count        = var.requests_per_minute_by_address
        interval_sec = 60
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    description = "The rest; a policy must end with this rule"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  adaptive_protection_config {
    layer_7_ddos_defense_config {
      enable = var.adaptive
    }
  }
}
