# Where photos are counted. A replica counts for itself while regions are apart; the last writer wins.
resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_28:counts of the current windows are worth no backup
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "subject"
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = var.replica != null
  stream_view_type            = var.replica == null ? null : "NEW_AND_OLD_IMAGES"

  attribute {
    name = "subject"
    type = "S"
  }
  ttl {
    attribute_name = "expires"
    enabled        = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
  dynamic "replica" {
    for_each = var.replica == null ? [] : [var.replica]
    content {
      region_name = replica.value.region
      kms_key_arn = replica.value.kms_key_arn
    }
  }
}
