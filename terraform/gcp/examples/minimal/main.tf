# A project, a domain and the images of a version.
module "plant_disease" {
  source = "../.."

  project  = "plants-481912"
  domain   = "plants.example.com"
  registry = "europe-west1-docker.pkg.dev/plants-481912/plant-disease"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}
