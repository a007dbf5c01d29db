locals {
  content_types = {
    css         = "text/css; charset=utf-8"
    html        = "text/html; charset=utf-8"
    jpg         = "image/jpeg"
    js          = "text/javascript; charset=utf-8"
    json        = "application/json"
    png         = "image/png"
    svg         = "image/svg+xml"
    webmanifest = "application/manifest+json"
  }
  config = {
    # The page and the functions have one address.
    endpoints         = { for name in ["predict", "batch", "explain"] : name => "./" }
    upload_origins    = [var.upload_origin]
    max_request_bytes = 4000000
  }
  # As `plant-disease serve` and nginx/page.conf send it (docs/page.md).
  content_security_policy = join("; ", [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:", "media-src 'self' blob:",
    "connect-src 'self' ${var.upload_origin}", "manifest-src 'self'", "worker-src 'self'", "base-uri 'none'", "form-action 'none'",
    "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types page",
  ])
}

# The page is for everybody: whoever reads it comes by the load balancer, or by the bucket's own address and gets the same bytes.
resource "google_storage_bucket" "page" {
  #checkov:skip=CKV_GCP_62: the load balancer has the log of requests
  #checkov:skip=CKV_GCP_78: every file is in the repository
  #checkov:skip=CKV_GCP_114: a load balancer reads a bucket without an identity, and what is in this one is public anyway
  project                     = var.project
  name                        = var.name
  location                    = var.placement.location
  uniform_bucket_level_access = true
  force_destroy               = true
  labels                      = var.labels

  dynamic "custom_placement_config" {
    for_each = length(var.placement.regions) == 2 ? [var.placement.regions] : []
    content {
      data_locations = [for region in custom_placement_config.value : upper(region)]
    }
  }

  website {
    main_page_suffix = "index.html"
  }
}

# Reads what it knows the name of, and lists nothing.
resource "google_storage_bucket_iam_member" "everybody" {
  #checkov:skip=CKV_GCP_28: the page is public
  bucket = google_storage_bucket.page.name
  role   = "roles/storage.legacyObjectReader"
  member = "allUsers"
}

resource "google_storage_bucket_object" "file" {
  for_each = setsubtract(fileset(var.folder, "**"), ["config.json"])

  bucket         = google_storage_bucket.page.name
  name           = each.key
  source         = "${var.folder}/${each.key}"
  source_md5hash = filemd5("${var.folder}/${each.key}")
  content_type   = local.content_types[element(split(".", each.key), -1)]
  # Files of one version belong together and have no hash in their names, so they are asked for again each time. Pictures are not.
  cache_control = can(regex("\\.(png|jpg|svg)$", each.key)) ? "public, max-age=86400" : "no-cache"
}

resource "google_storage_bucket_object" "config" {
  bucket        = google_storage_bucket.page.name
  name          = "config.json"
  content       = jsonencode(local.config)
  content_type  = local.content_types.json
  cache_control = "no-cache"
}

resource "google_compute_backend_bucket" "page" {
  project          = var.project
  name             = var.name
  bucket_name      = google_storage_bucket.page.name
  enable_cdn       = true
  compression_mode = "AUTOMATIC"

  cdn_policy {
    cache_mode         = "USE_ORIGIN_HEADERS"
    request_coalescing = true
  }

  custom_response_headers = [
    "Content-Security-Policy: ${local.content_security_policy}",
    "Cross-Origin-Opener-Policy: same-origin",
    "Permissions-Policy: camera=(self), geolocation=(), microphone=()",
    "Referrer-Policy: no-referrer",
    "Strict-Transport-Security: max-age=31536000",
    "X-Content-Type-Options: nosniff",
  ]
}
