# The whole service in one region.
data "aws_partition" "this" {}

locals {
  bucket_prefix = "${var.name}-${var.account_id}-${var.region}"
  shared        = ["/predict", "/classes", "/usage", "/uploads", "/uploads/*", "/health/*", "/docs", "/docs/*", "/openapi.json"]
  paths         = { for function, paths in { predict = local.shared, batch = ["/batch", "/batch/jobs*"], explain = ["/explain"] } : function => concat(paths, [for path in paths : "/v1${path}"]) }

  # A canary is a function of its own, and the load balancer gives it its share. An alias could weigh two versions of one function
  # (routing_config), but Lambda numbers a version when it is published, and the one that is live would have to be published again
  # with each apply: its number is known to nobody who writes a plan. A function of its own also has its own log, metrics and alarms,
  # and goes away without a trace. It has no instances that wait: it is there for minutes.
  instances = merge(
    { for key, function in var.functions : key => merge(function, { function = key, image = var.images[key], weight = 100 - try(function.canary.percent, 0) }) },
    { for key, function in var.functions : "${key}-canary" => merge(function, {
      function = key, image = "${split("@", var.images[key])[0]}@${function.canary.digest}", weight = function.canary.percent, min_instances = 0
    }) if function.canary != null },
  )

  environment = merge({
    PLANT_AUTH            = var.auth.required ? "required" : "off"
    PLANT_API_KEYS_URI    = "s3://${module.bucket["keys"].name}/keys.json"
    PLANT_MODEL_URI       = "s3://${module.bucket["models"].name}/models"
    PLANT_UPLOADS_URI     = "s3://${module.bucket["uploads"].name}/in"
    PLANT_USAGE_URI       = "s3://${module.bucket["usage"].name}/usage"
    PLANT_CORS_ORIGINS    = join(",", local.origins)
    PLANT_LIMITS_URI      = var.limits_table == null ? "memory://" : "dynamodb://${var.limits_table}"
    PLANT_LIMITS_ON_ERROR = var.limits_on_error
    PLANT_METRICS         = "on"
    # The load balancer hands Lambda no more than 1 MiB. Larger photos go to the bucket, where PLANT_MAX_IMAGE_BYTES is the limit.
    PLANT_MAX_BODY_BYTES  = "1048576"
    PLANT_MODEL_CHANNEL   = var.model.channel
    PLANT_TRUSTED_PROXIES = "0"
  }, var.model.version == null ? {} : { PLANT_MODEL_VERSION = var.model.version }, var.auth.anonymous_plan == null ? {} : { PLANT_ANONYMOUS_PLAN = var.auth.anonymous_plan })

  # Only the function batch knows of jobs.
  jobs = { for name, jobs in { batch = var.jobs } : name => jobs if jobs.enabled }
  job_environment = {
    for name in keys(local.jobs) : name => { PLANT_JOBS_URI = "s3://${module.bucket["jobs"].name}/jobs", PLANT_JOBS_QUEUE = module.jobs[name].setting }
  }

  origins = concat(["https://${var.domain}"], var.cors_origins)

  buckets = merge({
    models  = { versioned = true, expire_days = {}, put_origins = [] }
    keys    = { versioned = true, expire_days = {}, put_origins = [] }
    uploads = { versioned = false, expire_days = { uploads = { prefix = "in/", days = var.uploads_retention_days } }, put_origins = local.origins }
    # What is billed from can be restored for a month; what callers were answered is gone a day later.
    usage = {
      versioned = true, old_versions_days = 30, put_origins = [], expire_days = {
        events  = { prefix = "events/", days = var.usage_retention_days }
        files   = { prefix = "usage/dt=", days = var.usage_retention_days }
        answers = { prefix = "usage/answers/", days = 1, old_versions_days = 1 }
        athena  = { prefix = "athena/", days = 7, old_versions_days = 1 }
      }
    }
    }, { for name, jobs in { jobs = var.jobs } : name => {
      versioned                   = false, put_origins = [], expire_days = { jobs = { prefix = "jobs/", days = jobs.retention_days } }
  } if jobs.enabled })

  # What each function may, and no more.
  permissions = { for function in ["predict", "batch", "explain"] : function => merge(
    {
      ReadModels  = { actions = ["s3:GetObject"], resources = ["${module.bucket["models"].arn}/models/*"] }
      ReadKeys    = { actions = ["s3:GetObject"], resources = ["${module.bucket["keys"].arn}/keys.json"] }
      ReadUploads = { actions = ["s3:GetObject"], resources = ["${module.bucket["uploads"].arn}/in/*"] }
      WriteUsage  = { actions = ["s3:PutObject"], resources = ["${module.bucket["usage"].arn}/usage/*"] }
      # What an Idempotency-Key has been answered.
      ReadAnswers = { actions = ["s3:GetObject"], resources = ["${module.bucket["usage"].arn}/usage/answers/*"] }
      # Without it, S3 says "denied" of what is not there; a condition on the prefix would undo that.
      List = { actions = ["s3:ListBucket"], resources = [for bucket in concat(["models", "keys", "uploads", "usage"], function == "batch" ? [for name in keys(local.buckets) : name if name == "jobs"] : []) : module.bucket[bucket].arn] }
      Key  = { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [module.encryption.key_arn] }
    },
    # Whoever signs a URL must be allowed what it allows, and /uploads is answered by predict.
    function != "predict" ? {} : {
      SignUploads = { actions = ["s3:PutObject"], resources = ["${module.bucket["uploads"].arn}/in/*"] }
    },
    !contains(keys(local.jobs), function) ? {} : {
      KeepJobs = { actions = ["s3:GetObject", "s3:PutObject"], resources = ["${module.bucket["jobs"].arn}/jobs/*"] }
      # The event source asks with the rights of the function.
      QueueChunks = {
        actions   = ["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
        resources = [module.jobs[function].queue_arn]
      }
    },
    var.limits_table == null ? {} : {
      CountPhotos = {
        actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
        resources = ["arn:${data.aws_partition.this.partition}:dynamodb:${var.region}:${var.account_id}:table/${var.limits_table}"]
      }
    },
  ) }
}

module "encryption" {
  source           = "../encryption"
  account_id       = var.account_id
  name             = var.name
  region           = var.region
  existing_key_arn = var.kms_key_arn
}

module "bucket" {
  for_each          = local.buckets
  source            = "../bucket"
  name              = "${local.bucket_prefix}-${each.key}"
  kms_key_arn       = module.encryption.key_arn
  versioned         = each.value.versioned
  old_versions_days = try(each.value.old_versions_days, null)
  expire_days       = each.value.expire_days
  put_origins       = each.value.put_origins
  force_destroy     = !var.deletion_protection
}

data "aws_iam_policy_document" "access_logs" {
  statement {
    actions   = ["s3:PutObject"]
    resources = ["arn:${data.aws_partition.this.partition}:s3:::${local.bucket_prefix}-access/AWSLogs/${var.account_id}/*"]
    principals {
      type        = "Service"
      identifiers = ["logdelivery.elasticloadbalancing.amazonaws.com"]
    }
  }
}

# The load balancer's logs: it writes only where S3's own key encrypts.
module "access_logs" {
  source        = "../bucket"
  name          = "${local.bucket_prefix}-access"
  versioned     = false
  expire_days   = { logs = { prefix = "", days = var.log_retention_days } }
  policies      = [data.aws_iam_policy_document.access_logs.json]
  force_destroy = !var.deletion_protection
}

module "function" {
  for_each                 = local.instances
  source                   = "../function"
  name                     = "${var.name}-${each.key}"
  region                   = var.region
  image                    = each.value.image
  memory_mb                = each.value.memory_mb
  timeout_s                = each.value.timeout_s
  min_instances            = each.value.min_instances
  max_instances            = each.value.max_instances
  environment              = merge(local.environment, lookup(local.job_environment, each.value.function, {}), each.value.environment)
  permissions              = local.permissions[each.value.function]
  queue                    = contains(keys(local.jobs), each.key) ? { arn = module.jobs[each.key].queue_arn, max_concurrency = local.jobs[each.key].max_concurrency } : null
  traces                   = var.traces
  kms_key_arn              = module.encryption.key_arn
  log_retention_days       = var.log_retention_days
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "jobs" {
  for_each      = local.jobs
  source        = "../jobs"
  name          = var.name
  region        = var.region
  timeout_s     = var.functions[each.key].timeout_s
  kms_key_arn   = module.encryption.key_arn
  alarm_actions = module.notifications.warning
  runbook_url   = var.alerts.runbook_url
}

module "network" {
  source = "../network"
  name   = var.name
}

module "certificate" {
  source        = "../certificate"
  domain        = "api.${var.domain}"
  zone_id       = var.zone_id
  create_record = var.primary
}

module "load_balancer" {
  source              = "../load_balancer"
  name                = var.name
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.subnet_ids
  certificate_arn     = module.certificate.arn
  logs_bucket         = module.access_logs.name
  paths               = local.paths
  deletion_protection = var.deletion_protection
  targets = { for key, instance in local.instances : key => {
    function = instance.function, name = module.function[key].name, alias_arn = module.function[key].alias_arn, weight = instance.weight
  } }
}

module "firewall" {
  source                         = "../firewall"
  name                           = var.name
  load_balancer_arn              = module.load_balancer.arn
  requests_per_minute_by_key     = var.protection.requests_per_minute_by_key
  requests_per_minute_by_address = var.protection.requests_per_minute_by_address
  log                            = var.protection.log
  log_retention_days             = var.log_retention_days
  kms_key_arn                    = module.encryption.key_arn
}

module "usage" {
  source                   = "../usage"
  name                     = var.name
  region                   = var.region
  bucket                   = { name = module.bucket["usage"].name, arn = module.bucket["usage"].arn }
  kms_key_arn              = module.encryption.key_arn
  log_groups               = { for key, function in module.function : key => function.log_group }
  deletion_protection      = var.deletion_protection
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "notifications" {
  source      = "../notifications"
  account_id  = var.account_id
  name        = var.name
  region      = var.region
  kms_key_arn = module.encryption.key_arn
  email       = var.alerts.email
  sms         = var.alerts.sms
}

module "monitoring" {
  source = "../monitoring"
  name   = var.name
  region = var.region
  functions = { for key, instance in local.instances : key => {
    function = instance.function, name = module.function[key].name, target_group = module.load_balancer.target_groups[key]
  } }
  load_balancer   = module.load_balancer.arn_suffix
  certificate_arn = module.certificate.arn
  usage_stream    = module.usage.stream
  notifications   = module.notifications
  runbook_url     = var.alerts.runbook_url
}
