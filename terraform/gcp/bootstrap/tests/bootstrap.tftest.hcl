variables {
  project    = "plants-481912"
  repository = "example/plants"
}

run "promises" {
  command = plan
  variables {
    billing_account = "012345-6789AB-CDEF01"
  }

  assert {
    condition     = google_artifact_registry_repository.images.docker_config[0].immutable_tags
    error_message = "A tag can be moved."
  }
  assert {
    condition     = google_storage_bucket.state.versioning[0].enabled && google_storage_bucket.state.public_access_prevention == "enforced"
    error_message = "The state is not versioned, or may become public."
  }
  assert {
    condition     = !google_storage_bucket.state.force_destroy
    error_message = "The bucket goes with the states that are in it."
  }
  assert {
    condition     = alltrue([for kind in ["topics", "subscriptions"] : contains(google_project_iam_custom_role.plan.permissions, "pubsub.${kind}.getIamPolicy")])
    error_message = "Jobs cannot be planned: roles/pubsub.viewer reads no policy."
  }
  assert {
    condition     = google_iam_workload_identity_pool_provider.github.attribute_condition == "assertion.repository == 'example/plants' && assertion.ref.startsWith('refs/tags/v')"
    error_message = "Another repository, or something that is no version, gets an identity."
  }
  assert {
    condition     = local.takers.deploy == { kind = "principal", name = "subject/repo:example/plants:environment:production" }
    error_message = "A job outside the environment may deploy."
  }
  assert {
    condition     = alltrue([for role in concat(local.deploy_roles, local.plan_roles) : !contains(["roles/owner", "roles/editor", "roles/viewer"], role)])
    error_message = "A pipeline has a basic role."
  }
  assert {
    condition     = alltrue([for role in local.plan_roles : can(regex("(?i)(viewer|reader)$", role))]) && alltrue([for permission in google_project_iam_custom_role.plan.permissions : can(regex("\\.(get[A-Za-z]*|access)$", permission))])
    error_message = "Planning may change something."
  }
  assert {
    condition     = google_project_iam_member.deploy_grants.condition[0].expression == "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/cloudtrace.agent'])"
    error_message = "Who deploys may make itself owner."
  }
  assert {
    condition     = google_storage_bucket_iam_member.plan_lock.condition[0].expression == "resource.name.endsWith('.tflock')"
    error_message = "Planning may change the state."
  }
  assert {
    condition     = { for identity, grant in google_billing_account_iam_member.budget : identity => grant.role } == { plan = "roles/billing.viewer", deploy = "roles/billing.costsManager" }
    error_message = "A budget cannot be planned or made."
  }
}

run "repository" {
  command = plan
  variables {
    repository = "https://github.com/example/plants"
  }
  expect_failures = [var.repository]
}

run "mistakes" {
  command = plan
  variables {
    name            = "Plant_Disease"
    location        = "mars"
    tags            = "v' || true"
    environment     = "my production"
    billing_account = "mine"
  }
  expect_failures = [var.name, var.location, var.tags, var.environment, var.billing_account]
}
