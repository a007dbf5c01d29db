# HTTPS for the world, paths to functions. A function may have a second version (canary) with a share of its requests.
locals {
  # A rule may have five values.
  rules = merge([
    for number, function in sort(keys(var.paths)) : {
      for chunk, paths in chunklist(var.paths[function], 5) :
      "${function}-${chunk}" => { function = function, paths = paths, priority = 100 * (number + 1) + chunk }
    }
  ]...)
}

resource "aws_security_group" "this" {
  #checkov:skip=CKV_AWS_260:port 80 only redirects to HTTPS
  #checkov:skip=CKV2_AWS_5:it is the load balancer's
  name        = var.name
  description = "HTTPS from anywhere; HTTP to be redirected"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  #checkov:skip=CKV_AWS_260:port 80 only redirects to HTTPS
  for_each          = { https = 443, http = 80 }
  security_group_id = aws_security_group.this.id
  description       = each.key
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_28:module firewall stands before it
  name                       = var.name
  load_balancer_type         = "application"
  internal                   = false
  security_groups            = [aws_security_group.this.id]
  subnets                    = var.subnet_ids
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.deletion_protection
  # Above what a function may take: the load balancer must not give up first.
  idle_timeout = 65
  # The functions take the end of the header for the caller.
  xff_header_processing_mode = "append"

  access_logs {
    bucket  = var.logs_bucket
    enabled = true
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type = "redirect"
    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
  certificate_arn   = var.certificate_arn
  default_action {
    type = "fixed-response"
    fixed_response {
      content_type = "application/json"
      status_code  = "404"
      message_body = jsonencode({ type = "about:blank", title = "Not Found", status = 404, code = "not_found", detail = "There is nothing at this address." })
    }
  }
}

# When a canary goes, first the rule stops forwarding to it, and then its target group is deleted. Without create_before_destroy terraform
# would delete first, which AWS refuses while a rule forwards there (ResourceInUse).
resource "aws_lb_target_group" "this" {
  for_each = var.targets
  # 32 characters at most: 20 for the prefix, and "-explain-new" is the longest of the rest.
  name        = "${var.name}-${each.value.function}${each.key == each.value.function ? "" : "-new"}"
  target_type = "lambda"
  # Without, of a parameter that is given twice only the last would arrive.
  lambda_multi_value_headers_enabled = true
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lambda_permission" "this" {
  for_each      = var.targets
  statement_id  = "load-balancer"
  action        = "lambda:InvokeFunction"
  function_name = each.value.name
  qualifier     = "live"
  principal     = "elasticloadbalancing.amazonaws.com"
  source_arn    = aws_lb_target_group.this[each.key].arn
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_target_group_attachment" "this" {
  for_each         = var.targets
  target_group_arn = aws_lb_target_group.this[each.key].arn
  target_id        = each.value.alias_arn
  depends_on       = [aws_lambda_permission.this]
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener_rule" "this" {
  for_each     = local.rules
  listener_arn = aws_lb_listener.https.arn
  priority     = each.value.priority
  action {
    type = "forward"
    forward {
      dynamic "target_group" {
        for_each = { for key, target in var.targets : key => target if target.function == each.value.function }
        content {
          arn    = aws_lb_target_group.this[target_group.key].arn
          weight = target_group.value.weight
        }
      }
    }
  }
  condition {
    path_pattern {
      values = each.value.paths
    }
  }
  # A rule forwards to nobody who is not there yet, or not there any more.
  depends_on = [aws_lb_target_group_attachment.this]
}
