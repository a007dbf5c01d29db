variables {
  regions = ["eu-central-1", "eu-west-1"]
}

run "images" {
  command = plan
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push])
    error_message = "Tags do not move, and images are scanned."
  }
  assert {
    condition     = keys(aws_ecr_replication_configuration.this) == ["eu-west-1"]
    error_message = "Images are copied to the second region."
  }
}

run "regions" {
  command = plan
  variables {
    regions = []
  }
  expect_failures = [var.regions]
}
