run "plan" {
  command = plan

  override_data {
    target = module.plant_disease.data.google_artifact_registry_docker_image.tagged
    values = {
      self_link = "europe-docker.pkg.dev/plants-481912/plant-disease/image@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    }
  }

  assert {
    condition     = alltrue([for services in module.plant_disease.services : length(services) == 2])
    error_message = "There is not a service for each function and region."
  }
  assert {
    condition     = toset(values(module.plant_disease.image_digests)) == toset(["sha256:1111111111111111111111111111111111111111111111111111111111111111"])
    error_message = "A tag, which may be moved, is served instead of the digest it stood for."
  }
}
