# A certificate that is valid because its record is in the zone. ACM asks for the same record in every region of an account.
resource "aws_acm_certificate" "this" {
  domain_name       = var.domain
  validation_method = "DNS"
  lifecycle {
    create_before_destroy = true
  }
}

locals {
  record = one(aws_acm_certificate.this.domain_validation_options)
}

resource "aws_route53_record" "validation" {
  for_each        = toset(var.create_record ? [var.domain] : [])
  zone_id         = var.zone_id
  name            = local.record.resource_record_name
  type            = local.record.resource_record_type
  records         = [local.record.resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "this" {
  certificate_arn = aws_acm_certificate.this.arn
  depends_on      = [aws_route53_record.validation]
}
