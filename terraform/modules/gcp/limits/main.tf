# Each region counts for itself: a request never waits for the other side of a continent, and a lost region takes no counts with it.
# A caller whose requests go to both may have a limit twice.
resource "google_redis_instance" "counts" {
  for_each = toset(var.regions)

  project                 = var.project
  name                    = var.name
  region                  = each.key
  tier                    = "STANDARD_HA"
  memory_size_gb          = var.memory_gb
  redis_version           = "REDIS_7_2"
  authorized_network      = google_compute_network.private.id
  connect_mode            = "DIRECT_PEERING"
  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"
  deletion_protection     = var.deletion_protection
  labels                  = var.labels

  # Counts must not be evicted early (docs/limits.md).
  redis_configs = { maxmemory-policy = "noeviction" }
}

locals {
  folder = "/limits"

  # The password is in the address, and the address in Secret Manager; the certificate is no secret and travels the same way. Each Redis has
  # a CA of its own, which is what says who it is: the certificate has its address as CN, where redis-py looks for no name.
  secrets = merge([
    for region, redis in google_redis_instance.counts : {
      "${var.name}-limits-${region}"             = "rediss://:${urlencode(redis.auth_string)}@${redis.host}:${redis.port}/0?ssl_ca_certs=${local.folder}/redis.pem&ssl_check_hostname=false"
      "${var.name}-limits-certificate-${region}" = join("\n", redis.server_ca_certs[*].cert)
    }
  ]...)
  names = flatten([for region in var.regions : ["${var.name}-limits-${region}", "${var.name}-limits-certificate-${region}"]])
}

resource "google_secret_manager_secret" "limits" {
  for_each = toset(local.names)

  project   = var.project
  secret_id = each.key
  labels    = var.labels

  replication {
    user_managed {
      dynamic "replicas" {
        for_each = var.regions
        content {
          location = replicas.value
        }
      }
    }
  }
}

resource "google_secret_manager_secret_version" "limits" {
  for_each = toset(local.names)

  secret      = google_secret_manager_secret.limits[each.key].id
  secret_data = local.secrets[each.key]
}

resource "google_secret_manager_secret_iam_member" "readers" {
  for_each = { for pair in setproduct(local.names, keys(var.readers)) : join("/", pair) => { secret = pair[0], reader = pair[1] } }

  project   = var.project
  secret_id = google_secret_manager_secret.limits[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = var.readers[each.value.reader]
}
