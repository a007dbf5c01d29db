# What everything else stands on: where images are, what the functions are like, and what both regions are told.
data "aws_caller_identity" "this" {}

data "aws_ecr_image" "this" {
  for_each        = var.image_tag == null ? [] : setsubtract(keys(local.defaults), keys(var.image_digests))
  registry_id     = local.registry.account
  repository_name = "${local.registry.prefix}/${each.key}"
  image_tag       = var.image_tag
}

locals {
  # 1769 MB come with one CPU, and one request at a time has it; the answers of explain need more memory.
  defaults = {
    predict = { memory_mb = 1769, timeout_s = 30, min_instances = 0 }
    batch   = { memory_mb = 1769, timeout_s = 30, min_instances = 0 }
    explain = { memory_mb = 2048, timeout_s = 30, min_instances = 0 }
  }
  functions = {
    for name, default in local.defaults : name => merge(
      { for key, value in default : key => try(coalesce(var.functions[name][key], value), value) },
      { max_instances = try(var.functions[name].max_instances, null), environment = try(var.functions[name].environment, {}), canary = try(var.functions[name].canary, null) },
    )
  }

  registry = { account = split(".", var.registry)[0], domain = join(".", slice(split(".", split("/", var.registry)[0]), 4, length(split(".", split("/", var.registry)[0])))), prefix = split("/", var.registry)[1] }
  digests  = { for name in keys(local.defaults) : name => try(var.image_digests[name], data.aws_ecr_image.this[name].image_digest) }
  # Lambda pulls from its own region, where bootstrap has the images copied to.
  images = { for region in var.regions : region => { for name, digest in local.digests : name => "${local.registry.account}.dkr.ecr.${region}.${local.registry.domain}/${local.registry.prefix}/${name}@${digest}" } }

  standbys     = { for region in slice(var.regions, 1, length(var.regions)) : "standby" => region }
  limits_table = var.limits.store == "dynamodb" ? "${var.name}-limits" : null
  regions      = merge({ primary = module.primary }, module.standby)
}
