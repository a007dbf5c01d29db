output "table" {
  description = "DATABASE.TABLE for Athena."
  value       = "${aws_glue_catalog_database.this.name}.${aws_glue_catalog_table.this.name}"
}

output "workgroup" {
  description = "Workgroup of Athena to ask in."
  value       = aws_athena_workgroup.this.name
}

output "stream" {
  description = "Name of the delivery stream."
  value       = aws_kinesis_firehose_delivery_stream.this.name
}
