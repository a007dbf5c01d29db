# A plan asks AWS for nothing but the account.
provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "standby"
  region                      = "eu-west-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.this
  values = { account_id = "123456789012" }
}

variables {
  repository = "example/plants"
}

run "promises" {
  command = plan

  assert {
    condition     = keys(aws_ecr_replication_configuration.this) == ["standby"] && keys(module.standby) == ["standby"]
    error_message = "Images are not copied to the second region."
  }
  assert {
    condition     = jsonencode(local.subjects) == jsonencode({ deploy = ["repo:example/plants:environment:production"], plan = ["repo:example/plants:ref:refs/tags/v*"] })
    error_message = "Others than the pipeline may deploy."
  }
}

run "images" {
  command = plan
  module {
    source = "../../modules/aws/registry"
  }
  variables {
    account_id          = "123456789012"
    name                = "plant-disease"
    region              = "eu-central-1"
    deletion_protection = true
  }

  assert {
    condition     = length(aws_ecr_repository.this) == 3 && alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push])
    error_message = "A tag can be moved, or an image is not scanned."
  }
  assert {
    condition     = !anytrue([for repository in aws_ecr_repository.this : repository.force_delete])
    error_message = "Images can be destroyed by mistake."
  }
  assert {
    condition     = one(one(data.aws_iam_policy_document.pull.statement).condition).values == tolist(["arn:aws:lambda:eu-central-1:123456789012:function:plant-disease-*"])
    error_message = "Other functions may pull."
  }
}

run "deploy" {
  command = plan
  module {
    source = "../../modules/aws/deploy"
  }
  variables {
    account_id        = "123456789012"
    name              = "plant-disease"
    state_bucket_arn  = "arn:aws:s3:::plant-disease-123456789012-state"
    subjects          = { plan = ["repo:example/plants:ref:refs/tags/v*"], deploy = ["repo:example/plants:environment:production"] }
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  }

  assert {
    condition     = { for condition in one(data.aws_iam_policy_document.assume["deploy"].statement).condition : split(":", condition.variable)[1] => one(condition.values) } == { aud = "sts.amazonaws.com", sub = "repo:example/plants:environment:production" }
    error_message = "Any repository may take the role."
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.identity["deploy"].statement : length(statement.condition) == 1 if anytrue([for action in statement.actions : contains(["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PassRole"], action)])])
    error_message = "A role can be made without the boundary, or given to anything."
  }
  assert {
    condition = toset([for action in flatten(data.aws_iam_policy_document.identity["deploy"].statement[*].actions) : action if !can(regex("^iam:(Get|List)[A-Za-z]+$", action))]) == toset([for action in [
      "CreateRole", "CreateServiceLinkedRole", "DeleteRole", "DeleteRolePolicy", "PassRole", "PutRolePermissionsBoundary", "PutRolePolicy", "TagRole",
      "UntagRole", "UpdateAssumeRolePolicy", "UpdateRole",
    ] : "iam:${action}"])
    error_message = "The role can widen what it may."
  }
  assert {
    condition     = toset(values(aws_iam_role.this)[*].name) == toset(["deploy-plant-disease", "plan-plant-disease"]) && aws_iam_policy.boundary.name == "boundary-plant-disease"
    error_message = "The name of a role matches what it may change."
  }
  assert {
    condition = alltrue([for action in flatten([
      data.aws_iam_policy_document.identity["plan"].statement[*].actions, data.aws_iam_policy_document.named["plan"].statement[*].actions, data.aws_iam_policy_document.unnamed_read.statement[*].actions,
    ]) : can(regex("^[a-z0-9]+:(Describe|Get|List|View)", action))])
    error_message = "Who plans may change something."
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.unnamed.statement : statement.resources if contains(statement.actions, "cloudwatch:PutCompositeAlarm")]) == toset(["*"])
    error_message = "No composite alarm can be made."
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.release["plan"].statement : one(statement.resources) if statement.sid == "WriteState"]) == "arn:aws:s3:::plant-disease-123456789012-state/*.tflock"
    error_message = "Who plans may write the state."
  }
}

run "name" {
  command = plan
  variables {
    name = "Plant_Disease"
  }
  expect_failures = [var.name]
}

run "regions" {
  command = plan
  variables {
    regions = ["eu-west-1", "eu-west-1"]
  }
  expect_failures = [var.regions]
}

run "repository" {
  command = plan
  variables {
    repository = "https://github.com/example/plants"
  }
  expect_failures = [var.repository]
}

run "ref" {
  command = plan
  variables {
    ref         = "*"
    environment = "*"
  }
  expect_failures = [var.ref, var.environment]
}

run "oidc_provider_arn" {
  command = plan
  variables {
    oidc_provider_arn = "github"
  }
  expect_failures = [var.oidc_provider_arn]
}
