# Copy to terraform/aws/backend.tf; release.sh does. Bucket and region are given to `terraform init`; the lock file needs Terraform 1.10.
terraform {
  backend "s3" {
    key          = "plant-disease/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
