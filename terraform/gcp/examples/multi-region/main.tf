# Two regions of America, and photos counted in each of them.
module "plant_disease" {
  source = "../.."

  project  = "plants-481912"
  regions  = ["us-central1", "us-east4"]
  limits   = { store = "redis" }
  domain   = "plants.example.com"
  registry = "us-central1-docker.pkg.dev/plants-481912/plant-disease"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}
