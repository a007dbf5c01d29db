# A private bucket: encrypted, only over TLS, never public.
resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:who reads is in CloudTrail's data events; access logs of each bucket would need one more bucket
  #checkov:skip=CKV_AWS_144:replicated where it must be: module replication
  #checkov:skip=CKV_AWS_145:ALB writes its logs only into buckets with SSE-S3, and CloudFront's page is public; all others have var.kms_key_arn
  #checkov:skip=CKV_AWS_21:versioned where var.versioned says so; uploads must really be gone after a day
  #checkov:skip=CKV2_AWS_62:nothing waits for events of these buckets
  bucket        = var.name
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
    bucket_key_enabled = var.kms_key_arn != null
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id
  versioning_configuration {
    status = var.versioned ? "Enabled" : "Disabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  #checkov:skip=CKV_AWS_300:the first rule does it, for everything; where others are dynamic, checkov does not see it
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "incomplete"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  dynamic "rule" {
    for_each = var.versioned ? [var.old_versions_days] : []
    content {
      id     = "old-versions"
      status = "Enabled"
      filter {}
      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }
    }
  }

  dynamic "rule" {
    for_each = var.expire_days
    content {
      id     = "expire-${rule.key}"
      status = "Enabled"
      filter {
        prefix = rule.value.prefix
      }
      expiration {
        days = rule.value.days
      }
      # Of two rules for one object the shorter one counts.
      dynamic "noncurrent_version_expiration" {
        for_each = var.versioned && rule.value.old_versions_days != null ? [rule.value.old_versions_days] : []
        content {
          noncurrent_days = noncurrent_version_expiration.value
        }
      }
    }
  }
}

data "aws_iam_policy_document" "this" {
  source_policy_documents = var.policies

  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket     = aws_s3_bucket.this.id
  policy     = data.aws_iam_policy_document.this.json
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_cors_configuration" "this" {
  for_each = toset(length(var.put_origins) > 0 ? ["put"] : [])
  bucket   = aws_s3_bucket.this.id

  cors_rule {
    allowed_origins = var.put_origins
    allowed_methods = ["PUT"]
    allowed_headers = ["content-type", "if-none-match"]
    max_age_seconds = 3600
  }
}
