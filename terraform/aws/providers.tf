provider "aws" {
  region = var.regions[0]
  default_tags {
    tags = merge({ service = var.name }, var.tags)
  }
}

# With one region nothing is made by it.
provider "aws" {
  alias  = "standby"
  region = var.regions[length(var.regions) - 1]
  default_tags {
    tags = merge({ service = var.name }, var.tags)
  }
}

# CloudFront takes its certificate from there, and Route 53 publishes its metrics there.
provider "aws" {
  alias  = "us_east_1"
  region = "us-east-1"
  default_tags {
    tags = merge({ service = var.name }, var.tags)
  }
}
