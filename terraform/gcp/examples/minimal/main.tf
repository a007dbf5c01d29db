# A project, a domain and the images of a version.
module "plant_disease" {
  source = "../.."

  project   = "plants-481912"
  domain    = "plants.example.com"
  registry  = "europe-docker.pkg.dev/plants-481912/plant-disease"
  image_tag = "2026.11.2"
}
