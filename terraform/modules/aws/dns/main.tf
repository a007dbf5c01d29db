# The host of the API: the first region answers; while its health check fails, the second one does.
resource "aws_route53_health_check" "this" {
  for_each          = var.load_balancers
  fqdn              = each.value.dns_name
  port              = 443
  type              = "HTTPS"
  resource_path     = "/health/ready"
  request_interval  = 10
  failure_threshold = 3
  tags              = { Name = "${var.host} ${each.key}" }
}

resource "aws_route53_record" "this" {
  #checkov:skip=CKV2_AWS_23:aliases of the load balancers that a variable names
  for_each        = var.load_balancers
  zone_id         = var.zone_id
  name            = var.host
  type            = "A"
  set_identifier  = each.key
  health_check_id = aws_route53_health_check.this[each.key].id
  alias {
    name    = each.value.dns_name
    zone_id = each.value.zone_id
    # Target groups of functions have no health checks; the health check above decides.
    evaluate_target_health = false
  }
  failover_routing_policy {
    type = each.key == "primary" ? "PRIMARY" : "SECONDARY"
  }
}
