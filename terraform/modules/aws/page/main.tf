# The static page in a private bucket behind CloudFront.
locals {
  types = {
    html = "text/html", css = "text/css", js = "text/javascript", json = "application/json", svg = "image/svg+xml",
    png  = "image/png", jpg = "image/jpeg", webmanifest = "application/manifest+json"
  }
  files   = setsubtract(fileset(var.folder, "**"), ["config.json"])
  connect = join(" ", concat(["'self'", var.api_url], var.upload_origins))
  config = jsonencode({
    endpoints         = { for function in ["predict", "batch", "explain"] : function => "${var.api_url}/" }
    upload_origins    = var.upload_origins
    max_request_bytes = 700000 # what a load balancer hands to Lambda (1 MiB), were it counted in base64; larger photos are uploaded
  })
}

data "aws_partition" "this" {}

data "aws_iam_policy_document" "read" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["arn:${data.aws_partition.this.partition}:s3:::${var.bucket_name}/*"]
    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudfront_distribution.this.arn]
    }
  }
}

module "bucket" {
  source        = "../bucket"
  name          = var.bucket_name
  policies      = [data.aws_iam_policy_document.read.json]
  force_destroy = !var.deletion_protection
}

resource "aws_s3_object" "file" {
  #checkov:skip=CKV_AWS_186:everybody may see the page
  for_each      = local.files
  bucket        = module.bucket.name
  key           = each.value
  source        = "${var.folder}/${each.value}"
  source_hash   = filemd5("${var.folder}/${each.value}")
  content_type  = lookup(local.types, reverse(split(".", each.value))[0], "application/octet-stream")
  cache_control = "no-cache"
}

resource "aws_s3_object" "config" {
  #checkov:skip=CKV_AWS_186:everybody may see the page
  bucket        = module.bucket.name
  key           = "config.json"
  content       = local.config
  content_type  = "application/json"
  cache_control = "no-cache"
}

resource "aws_cloudfront_origin_access_control" "this" {
  name                              = var.bucket_name
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_response_headers_policy" "this" {
  #checkov:skip=CKV_AWS_259:for a year, but for this host alone: hosts below it are not all ours to decide for
  name = replace(var.domain, ".", "-")
  security_headers_config {
    content_security_policy {
      override                = true
      content_security_policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src ${local.connect}; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types page"
    }
    content_type_options {
      override = true
    }
    referrer_policy {
      override        = true
      referrer_policy = "no-referrer"
    }
    strict_transport_security {
      override                   = true
      access_control_max_age_sec = 31536000
    }
  }
  custom_headers_config {
    items {
      header   = "Permissions-Policy"
      value    = "camera=(self), geolocation=(), microphone=()"
      override = true
    }
  }
}

resource "aws_cloudfront_distribution" "this" {
  #checkov:skip=CKV_AWS_68:static files alone; the firewall stands before the functions
  #checkov:skip=CKV2_AWS_47:static files alone; the firewall stands before the functions
  #checkov:skip=CKV_AWS_86:the page keeps no statistic of its visitors
  #checkov:skip=CKV_AWS_310:the page of one bucket; its loss is answered from the cache of browsers
  #checkov:skip=CKV_AWS_374:for everybody
  enabled             = true
  is_ipv6_enabled     = true
  http_version        = "http2and3"
  aliases             = [var.domain]
  default_root_object = "index.html"

  origin {
    origin_id                = "page"
    domain_name              = "${var.bucket_name}.s3.${var.region}.amazonaws.com"
    origin_access_control_id = aws_cloudfront_origin_access_control.this.id
  }
  default_cache_behavior {
    target_origin_id           = "page"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    cache_policy_id            = "658327ea-f89d-4fab-a63d-7e88639e58f6" # AWS's CachingOptimized
    response_headers_policy_id = aws_cloudfront_response_headers_policy.this.id
  }
  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
  viewer_certificate {
    acm_certificate_arn      = var.certificate_arn
    ssl_support_method       = "sni-only"
    minimum_protocol_version = "TLSv1.2_2021"
  }
}

resource "aws_route53_record" "this" {
  for_each = toset(["A", "AAAA"])
  zone_id  = var.zone_id
  name     = var.domain
  type     = each.key
  alias {
    name                   = aws_cloudfront_distribution.this.domain_name
    zone_id                = aws_cloudfront_distribution.this.hosted_zone_id
    evaluate_target_health = false
  }
}
