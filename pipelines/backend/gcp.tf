# Copy to terraform/gcp/backend.tf; release.sh does. The bucket is given to `terraform init`.
terraform {
  backend "gcs" {
    prefix = "plant-disease"
  }
}
