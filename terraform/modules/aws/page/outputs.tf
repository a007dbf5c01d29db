output "distribution_id" {
  description = "To invalidate with."
  value       = aws_cloudfront_distribution.this.id
}
