# One region, a domain and the images of a version.
module "plant_disease" {
  source = "../.."

  regions  = ["eu-central-1"]
  domain   = "plants.example.com"
  zone_id  = "Z0123456789ABCDEFGHIJ"
  registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}
