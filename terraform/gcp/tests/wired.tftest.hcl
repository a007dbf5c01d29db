# What is known once things are there. Nothing is made: every answer of Google is invented.
mock_provider "google" {
  mock_resource "google_certificate_manager_dns_authorization" {
    defaults = {
      dns_resource_record = [{ name = "_acme-challenge.plants.example.com.", type = "CNAME", data = "1.authorize.certificatemanager.goog." }]
    }
  }
}

run "load_balancer" {
  module {
    source = "../modules/gcp/load_balancer"
  }
  variables {
    project         = "plants-481912"
    name            = "plant-disease"
    domain          = "plants.example.com"
    services        = { for name in ["predict", "batch", "explain"] : name => { europe-west1 = "plant-disease-${name}", europe-west4 = "plant-disease-${name}" } }
    page            = "page"
    security_policy = "edge"
  }

  assert {
    condition = alltrue([
      for function, backend in google_compute_backend_service.function :
      toset(backend.backend[*].group) == toset([for region in ["europe-west1", "europe-west4"] : google_compute_region_network_endpoint_group.service["${function}-${region}"].id])
    ])
    error_message = "A function does not get requests in both regions."
  }
  assert {
    condition = {
      for rule in google_compute_url_map.paths.path_matcher[0].path_rule : one([for path in rule.paths : path if contains(["/predict", "/batch", "/explain"], path)]) => rule.service
    } == { for function, backend in google_compute_backend_service.function : "/${function}" => backend.id }
    error_message = "A path leads to another function."
  }
}

run "limits" {
  module {
    source = "../modules/gcp/limits"
  }
  variables {
    project = "plants-481912"
    name    = "plant-disease"
    regions = ["europe-west1", "europe-west4"]
    readers = { predict = "serviceAccount:predict@p.iam.gserviceaccount.com" }
  }

  assert {
    condition = alltrue([
      for region, redis in google_redis_instance.counts :
      nonsensitive(local.secrets["plant-disease-limits-${region}"]) == "rediss://:${urlencode(nonsensitive(redis.auth_string))}@${redis.host}:${redis.port}/0?ssl_ca_certs=/limits/redis.pem&ssl_check_hostname=false"
    ])
    error_message = "A function does not find the Redis of its region, or does not trust its certificate alone."
  }
  assert {
    condition     = { for region, files in output.secret_files : region => "${files.limits.folder}/${files.limits.file}" } == { europe-west1 = "/limits/redis.pem", europe-west4 = "/limits/redis.pem" }
    error_message = "The certificate is elsewhere than the address says."
  }
}
