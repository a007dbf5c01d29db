terraform {
  # State is locked by a file beside it (use_lockfile), without a table.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  # The bucket is that of bootstrap: terraform init -backend-config="bucket=…" -backend-config="region=…"
  backend "s3" {
    key          = "plant-disease/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
