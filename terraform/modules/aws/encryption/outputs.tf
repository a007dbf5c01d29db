output "key_arn" {
  description = "ARN of the key."
  value       = var.existing_key_arn == null ? one(values(aws_kms_key.this)).arn : var.existing_key_arn
}
