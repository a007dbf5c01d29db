# Two regions of America, and photos counted in both together.
module "plant_disease" {
  source = "../.."

  regions  = ["us-east-1", "us-west-2"]
  limits   = { store = "dynamodb" }
  domain   = "plants.example.com"
  zone_id  = "Z0123456789ABCDEFGHIJ"
  registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com/plant-disease"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}
