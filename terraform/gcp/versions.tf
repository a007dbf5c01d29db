terraform {
  required_version = ">= 1.9"

  # terraform init -backend-config=bucket=…, the output state_bucket of bootstrap.
  backend "gcs" {}

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 9.0"
    }
  }
}
