variables {
  project    = "plants-481912"
  repository = "example/plants"
}

run "promises" {
  command = plan

  assert {
    condition     = google_artifact_registry_repository.images.docker_config[0].immutable_tags
    error_message = "A tag can be moved."
  }
  assert {
    condition     = google_storage_bucket.state.versioning[0].enabled && google_storage_bucket.state.public_access_prevention == "enforced"
    error_message = "The state is not versioned, or may become public."
  }
  assert {
    condition     = strcontains(google_iam_workload_identity_pool_provider.github.attribute_condition, "'example/plants'")
    error_message = "Another repository may deploy."
  }
}

run "repository" {
  command = plan
  variables {
    repository = "https://github.com/example/plants"
  }
  expect_failures = [var.repository]
}
