# A plan asks AWS for nothing but these.
provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "standby"
  region                      = "eu-west-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "us_east_1"
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.this
  values = { account_id = "123456789012" }
}

override_data {
  target = module.primary.module.network.data.aws_availability_zones.this
  values = { names = ["eu-central-1a", "eu-central-1b"] }
}

override_data {
  target = module.standby["standby"].module.network.data.aws_availability_zones.this
  values = { names = ["eu-west-1a", "eu-west-1b"] }
}

variables {
  domain   = "plants.example.com"
  zone_id  = "Z0123456789ABCDEFGHIJ"
  registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease"
  image_digests = {
    predict = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
    batch   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
    explain = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
  }
}

run "whole" {
  command = plan
  variables {
    name       = "a2345678901234567890" # as long as it may be
    limits     = { store = "dynamodb" }
    traces     = true
    alerts     = { email = ["oncall@example.com"], sms = ["+4915112345678"], chat = { slack_workspace_id = "T0123", slack_channel_id = "C0123" } }
    budget     = { monthly_usd = 500 }
    jobs       = { enabled = true }
    protection = { log = true }
    functions  = { explain = { min_instances = 1, canary = { digest = "sha256:4444444444444444444444444444444444444444444444444444444444444444", percent = 10 } } }
  }

  assert {
    condition     = alltrue([for region in ["primary", "standby"] : length(output.images[region]) == 4 && alltrue([for image in output.images[region] : can(regex("@sha256:[0-9a-f]{64}$", image))])])
    error_message = "A function or the canary does not run from a digest, or not in both regions."
  }
  assert {
    condition     = startswith(output.images.standby.predict, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/")
    error_message = "The second region pulls from the first."
  }
  assert {
    condition     = jsonencode(output.image_digests) == jsonencode(var.image_digests)
    error_message = "What is live is not said, or a canary is taken for it."
  }
  assert {
    condition = alltrue(flatten([for region in ["primary", "standby"] : [for function in ["predict", "batch", "explain", "explain-canary"] : [
      for kind in ["errors", "throttles", "5xx", "latency", "latency-p99", "overloaded", "no-model", "keys", "limits", "model-loads", "model-stale", "bad-answers", "failing"] : contains(output.alarms[region], "${var.name}-${function}-${kind}")
    ]]]))
    error_message = "A function has not all its alarms in each region."
  }
  assert {
    condition     = alltrue(flatten([for region in ["primary", "standby"] : [for kind in ["balancer-5xx", "certificate", "usage-late", "usage-failing", "jobs-late", "jobs-dead-letters"] : contains(output.alarms[region], "${var.name}-${kind}")]]))
    error_message = "A region has not all its alarms."
  }
  assert {
    condition     = toset(output.alarms.site) == toset([for alarm in ["primary", "standby", "down"] : "${var.name}-site-${alarm}"])
    error_message = "Nobody hears that the site is down."
  }
  assert {
    condition     = keys(module.replication) == ["keys", "models"] && length(module.chat) == 1 && length(module.budget) == 1
    error_message = "Keys or models are not copied, or what was asked for is not there."
  }
}

run "region" {
  command = plan
  module {
    source = "../modules/aws/region"
  }
  override_data {
    target = module.network.data.aws_availability_zones.this
    values = { names = ["eu-central-1a", "eu-central-1b"] }
  }
  variables {
    account_id               = "123456789012"
    name                     = "plant-disease"
    region                   = "eu-central-1"
    primary                  = true
    images                   = { for function, digest in { predict = "1", batch = "2", explain = "3" } : function => "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease/${function}@sha256:${join("", [for position in range(64) : digest])}" }
    functions                = { for function in ["predict", "batch", "explain"] : function => { memory_mb = 1769, timeout_s = 30, min_instances = 0, max_instances = null, environment = {}, canary = null } }
    limits_table             = "plant-disease-limits"
    limits_on_error          = "allow"
    uploads_retention_days   = 1
    jobs                     = { enabled = true, retention_days = 30, max_concurrency = 5 }
    usage_retention_days     = 400
    log_retention_days       = 30
    deletion_protection      = true
    auth                     = { required = true, anonymous_plan = null }
    cors_origins             = []
    model                    = { channel = "stable", version = null }
    protection               = { requests_per_minute_by_key = 600, requests_per_minute_by_address = 300, log = false }
    alerts                   = { email = [], sms = [], runbook_url = "docs/runbook.md" }
    traces                   = false
    kms_key_arn              = null
    permissions_boundary_arn = null
  }

  assert {
    condition     = jsonencode({ for function, permissions in local.permissions : function => sort([for name, permission in permissions : name if anytrue([for action in permission.actions : strcontains(action, "Put") || strcontains(action, "Update") || strcontains(action, "Delete")])]) }) == jsonencode({ batch = ["CountPhotos", "KeepJobs", "QueueChunks", "WriteUsage"], explain = ["CountPhotos", "WriteUsage"], predict = ["CountPhotos", "SignUploads", "WriteUsage"] })
    error_message = "A function may write more than it has to."
  }
  assert {
    condition     = !anytrue(flatten([for permissions in local.permissions : [for permission in permissions : [for action in permission.actions : strcontains(action, "*")]]]))
    error_message = "A function may do anything of a kind."
  }
  assert {
    condition     = local.permissions.predict.CountPhotos.resources == ["arn:aws:dynamodb:eu-central-1:123456789012:table/plant-disease-limits"] && local.permissions.predict.CountPhotos.actions == ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    error_message = "Another table than that of the limits can be reached."
  }
  assert {
    condition     = [for rule in local.buckets.jobs.expire_days : rule] == [{ prefix = "jobs/", days = 30 }] && keys(module.jobs) == ["batch"] && contains(local.paths.batch, "/batch/jobs*")
    error_message = "Jobs are kept for ever, or cannot be asked for."
  }
  assert {
    condition     = local.buckets.usage.versioned && local.buckets.usage.old_versions_days == 30 && local.buckets.usage.expire_days.answers == { prefix = "usage/answers/", days = 1, old_versions_days = 1 }
    error_message = "Usage that somebody deletes is lost, or answers stay."
  }
  assert {
    condition     = [for rule in local.buckets.uploads.expire_days : rule] == [{ prefix = "in/", days = 1 }] && !local.buckets.uploads.versioned && local.buckets.models.versioned && local.buckets.keys.versioned
    error_message = "Photos are not gone after a day, or models and keys cannot be restored."
  }
  assert {
    condition     = local.environment.PLANT_AUTH == "required" && local.environment.PLANT_LIMITS_URI == "dynamodb://plant-disease-limits" && local.environment.PLANT_MAX_BODY_BYTES == "1048576" && local.environment.PLANT_TRUSTED_PROXIES == "0"
    error_message = "The functions are told something else than the load balancer does, or ask for no key."
  }
  assert {
    condition     = alltrue([for name in keys(local.environment) : startswith(name, "PLANT_") && !can(regex("SECRET|PASSWORD|TOKEN|HEADERS", name))])
    error_message = "A secret is in plain environment."
  }
  assert {
    condition     = one(one(data.aws_iam_policy_document.access_logs.statement).principals).identifiers == toset(["logdelivery.elasticloadbalancing.amazonaws.com"])
    error_message = "The load balancer cannot write its logs."
  }
}

run "jobs" {
  command = plan
  module {
    source = "../modules/aws/jobs"
  }
  variables {
    name          = "plant-disease"
    region        = "eu-central-1"
    timeout_s     = 30
    kms_key_arn   = "arn:aws:kms:eu-central-1:123456789012:key/1"
    alarm_actions = ["arn:aws:sns:eu-central-1:123456789012:alerts"]
    runbook_url   = "docs/runbook.md"
  }

  assert {
    condition     = aws_sqs_queue.chunks.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.dead_letters.kms_master_key_id == var.kms_key_arn
    error_message = "A queue is not encrypted with the key."
  }
  assert {
    condition     = alltrue([for document in data.aws_iam_policy_document.only_tls : one(document.statement).effect == "Deny" && one(one(document.statement).condition).variable == "aws:SecureTransport"]) && length(aws_sqs_queue_policy.only_tls) == 2
    error_message = "A queue takes plain HTTP."
  }
  assert {
    condition     = aws_sqs_queue.chunks.visibility_timeout_seconds == 180 && aws_sqs_queue.dead_letters.message_retention_seconds == 1209600
    error_message = "A chunk comes again while it is being done, or dead letters are gone before somebody looks."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(var.alarm_actions)]) && { for alarm in aws_cloudwatch_metric_alarm.this : alarm.metric_name => alarm.dimensions.QueueName } == { ApproximateAgeOfOldestMessage = "plant-disease-jobs", ApproximateNumberOfMessagesVisible = "plant-disease-jobs-dead-letters" }
    error_message = "Nobody hears of chunks that lie too long, or of dead letters."
  }
}

run "load_balancer" {
  command = plan
  module {
    source = "../modules/aws/load_balancer"
  }
  variables {
    name                = "a2345678901234567890"
    vpc_id              = "vpc-1"
    subnet_ids          = ["subnet-1", "subnet-2"]
    certificate_arn     = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    logs_bucket         = "logs"
    paths               = { predict = ["/predict"], batch = ["/batch"], explain = ["/explain", "/1", "/2", "/3", "/4", "/5"] }
    deletion_protection = true
    targets = { for key, weight in { predict = 100, batch = 100, explain = 90, explain-canary = 10 } : key => {
      function = split("-", key)[0], name = key, alias_arn = "arn:aws:lambda:eu-central-1:123456789012:function:${key}:live", weight = weight
    } }
  }

  assert {
    condition     = one(aws_lb_listener.http.default_action).type == "redirect" && one(one(aws_lb_listener.http.default_action).redirect).protocol == "HTTPS"
    error_message = "HTTP is not redirected."
  }
  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13-1-2-Res-")
    error_message = "TLS is older than 1.2, without 1.3, or has weak ciphers."
  }
  assert {
    condition     = alltrue([for rule in keys(aws_lb_listener_rule.this) : toset([for group in one(one(aws_lb_listener_rule.this[rule].action).forward).target_group : group.weight]) == toset(startswith(rule, "explain") ? [90, 10] : [100])]) && length(aws_lb_listener_rule.this) == 4
    error_message = "A canary does not get its share, of each path."
  }
  assert {
    condition     = alltrue([for group in aws_lb_target_group.this : length(group.name) <= 32 && group.target_type == "lambda" && group.lambda_multi_value_headers_enabled])
    error_message = "The name of a target group is too long, or it is not one of Lambda."
  }
  assert {
    condition     = aws_lb.this.enable_deletion_protection && aws_lb.this.drop_invalid_header_fields && one(aws_lb.this.access_logs).enabled && aws_lb.this.xff_header_processing_mode == "append"
    error_message = "The load balancer can be deleted, keeps no log, or passes on what callers say of themselves."
  }
  assert {
    condition     = alltrue([for permission in aws_lambda_permission.this : permission.principal == "elasticloadbalancing.amazonaws.com" && permission.qualifier == "live"])
    error_message = "A function is called by others."
  }
}

run "function" {
  command = plan
  module {
    source = "../modules/aws/function"
  }
  variables {
    name               = "plant-disease-predict"
    region             = "eu-central-1"
    image              = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease/predict@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    memory_mb          = 1769
    timeout_s          = 30
    min_instances      = 1
    environment        = { PLANT_AUTH = "required" }
    permissions        = { ReadKeys = { actions = ["s3:GetObject"], resources = ["arn:aws:s3:::keys/keys.json"] } }
    queue              = { arn = "arn:aws:sqs:eu-central-1:123456789012:plant-disease-jobs", max_concurrency = 5 }
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
    log_retention_days = 30
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_lambda_function.this.kms_key_arn == var.kms_key_arn
    error_message = "Logs are kept for ever, or are not encrypted with the key."
  }
  assert {
    condition     = { for statement in data.aws_iam_policy_document.this.statement : statement.sid => statement.actions } == { Logs = toset(["logs:CreateLogStream", "logs:PutLogEvents"]), ReadKeys = toset(["s3:GetObject"]) }
    error_message = "The role may do more than it was given, or traces are written though they are off."
  }
  assert {
    condition     = one(aws_lambda_function.this.tracing_config).mode == "PassThrough" && aws_lambda_function.this.publish && aws_lambda_provisioned_concurrency_config.this["live"].provisioned_concurrent_executions == 1
    error_message = "Instances that wait are not those of the alias."
  }
  assert {
    condition     = alltrue([for source in aws_lambda_event_source_mapping.queue : source.function_response_types == toset(["ReportBatchItemFailures"]) && source.batch_size == 1 && one(source.scaling_config).maximum_concurrency == 5]) && length(aws_lambda_event_source_mapping.queue) == 1
    error_message = "The function cannot say which messages are to come again, or they may take all of its instances."
  }
}

run "image_without_digest" {
  command = plan
  module {
    source = "../modules/aws/function"
  }
  variables {
    name               = "plant-disease-predict"
    region             = "eu-central-1"
    image              = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/plant-disease/predict:1.0.0"
    memory_mb          = 1769
    timeout_s          = 30
    environment        = {}
    permissions        = {}
    kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
    log_retention_days = 30
  }
  expect_failures = [aws_lambda_function.this]
}

run "bucket" {
  command = plan
  module {
    source = "../modules/aws/bucket"
  }
  variables {
    name        = "uploads"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
    versioned   = false
    expire_days = { uploads = { prefix = "in/", days = 1 } }
    put_origins = ["https://plants.example.com"]
  }

  assert {
    condition     = alltrue([for closed in ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"] : aws_s3_bucket_public_access_block.this[closed]])
    error_message = "A bucket may become public."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default) == { kms_master_key_id = var.kms_key_arn, sse_algorithm = "aws:kms" }
    error_message = "A bucket is not encrypted with the key."
  }
  assert {
    condition     = { for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id => try(one(rule.expiration).days, null) if rule.status == "Enabled" } == { incomplete = null, expire-uploads = 1 }
    error_message = "Objects stay longer than they may."
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.this.statement : statement.effect if one(statement.condition).variable == "aws:SecureTransport"]) == "Deny"
    error_message = "A bucket answers plain HTTP."
  }
  assert {
    condition     = one(aws_s3_bucket_cors_configuration.this["put"].cors_rule).allowed_methods == toset(["PUT"])
    error_message = "Pages may do more than upload."
  }
}

run "firewall" {
  command = plan
  module {
    source = "../modules/aws/firewall"
  }
  variables {
    name                           = "plant-disease"
    load_balancer_arn              = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/plant-disease/1"
    requests_per_minute_by_key     = 600
    requests_per_minute_by_address = 300
    log                            = true
    log_retention_days             = 30
    kms_key_arn                    = "arn:aws:kms:eu-central-1:123456789012:key/1"
  }

  assert {
    condition = jsonencode({ for rule in aws_wafv2_web_acl.this.rule : rule.name => sort(one(one(rule.statement).managed_rule_group_statement).rule_action_override[*].name) if length(one(rule.statement).managed_rule_group_statement) == 1 }) == jsonencode({
      AWSManagedRulesAmazonIpReputationList = []
      AWSManagedRulesCommonRuleSet          = ["CrossSiteScripting_BODY", "EC2MetaDataSSRF_BODY", "GenericLFI_BODY", "GenericRFI_BODY", "SizeRestrictions_BODY"]
      AWSManagedRulesKnownBadInputsRuleSet  = []
    })
    error_message = "Photos are refused for their size or their bytes, or more than that is let through."
  }
  assert {
    condition     = { for rule in aws_wafv2_web_acl.this.rule : rule.name => one(one(rule.statement).rate_based_statement).limit if length(one(rule.statement).rate_based_statement) == 1 } == { rate-by-x-api-key = 600, rate-by-authorization = 600, rate-by-address = 300, rate-of-address = 6000 }
    error_message = "A key or an address may ask for more than was said."
  }
  assert {
    condition     = toset(flatten([for field in aws_wafv2_web_acl_logging_configuration.this["waf"].redacted_fields : field.single_header[*].name])) == toset(["x-api-key", "authorization"])
    error_message = "Keys are logged."
  }
}

run "dns" {
  command = plan
  module {
    source = "../modules/aws/dns"
  }
  variables {
    host           = "api.plants.example.com"
    load_balancers = { primary = { dns_name = "a.example.com", zone_id = "Z1" }, standby = { dns_name = "b.example.com", zone_id = "Z2" } }
  }

  assert {
    condition     = { for key, record in aws_route53_record.this : key => one(record.failover_routing_policy).type } == { primary = "PRIMARY", standby = "SECONDARY" } && alltrue([for record in aws_route53_record.this : !one(record.alias).evaluate_target_health])
    error_message = "The second region does not take over."
  }
  assert {
    condition     = alltrue([for check in aws_route53_health_check.this : check.type == "HTTPS" && check.resource_path == "/health/ready" && check.request_interval * check.failure_threshold <= 30])
    error_message = "It is noticed late, or over plain HTTP."
  }
}

run "replication" {
  command = plan
  module {
    source = "../modules/aws/replication"
  }
  variables {
    name               = "plant-disease-models"
    source_bucket      = { name = "models-a", arn = "arn:aws:s3:::models-a", kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1" }
    destination_bucket = { name = "models-b", arn = "arn:aws:s3:::models-b", kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/2" }
    alarm_actions      = ["arn:aws:sns:eu-central-1:123456789012:alerts"]
    runbook_url        = "docs/runbook.md"
  }

  assert {
    condition     = one(one(one(one(aws_s3_bucket_replication_configuration.this.rule).destination).replication_time).time).minutes == 15 && one(one(one(aws_s3_bucket_replication_configuration.this.rule).destination).replication_time).status == "Enabled"
    error_message = "Models and keys are not in the second region in 15 minutes."
  }
  assert {
    condition     = one(one(one(aws_s3_bucket_replication_configuration.this.rule).destination).encryption_configuration).replica_kms_key_id == var.destination_bucket.kms_key_arn
    error_message = "Copies are not encrypted with the key of their region."
  }
  assert {
    condition     = one(one(aws_s3_bucket_replication_configuration.this.rule).delete_marker_replication).status == "Disabled" && length(aws_cloudwatch_metric_alarm.this) == 2
    error_message = "What is deleted here is deleted there, or nobody hears that copies are late."
  }
}

run "notifications" {
  command = plan
  module {
    source = "../modules/aws/notifications"
  }
  variables {
    account_id  = "123456789012"
    name        = "plant-disease"
    region      = "eu-central-1"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1"
    email       = ["oncall@example.com"]
    sms         = ["+4915112345678"]
  }

  assert {
    condition     = alltrue([for topic in aws_sns_topic.this : topic.kms_master_key_id == var.kms_key_arn])
    error_message = "Alarms are not encrypted."
  }
  assert {
    condition     = alltrue([for policy in data.aws_iam_policy_document.this : one(one(policy.statement).principals).identifiers == toset(["cloudwatch.amazonaws.com"])]) && length(aws_sns_topic_policy.this) == 2
    error_message = "CloudWatch may not publish, or others may."
  }
  assert {
    condition     = { for subscription in local.subscriptions : subscription.protocol => subscription.topic } == { email = "alerts", sms = "pages" }
    error_message = "A telephone rings for what can wait."
  }
}

run "monitoring" {
  command = plan
  module {
    source = "../modules/aws/monitoring"
  }
  variables {
    name            = "plant-disease"
    region          = "eu-central-1"
    functions       = { predict = { function = "predict", name = "plant-disease-predict", target_group = "targetgroup/1" } }
    load_balancer   = "app/1"
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    usage_stream    = "usage"
    notifications   = { warning = ["arn:aws:sns:eu-central-1:123456789012:alerts"], page = ["arn:aws:sns:eu-central-1:123456789012:alerts", "arn:aws:sns:eu-central-1:123456789012:pages"] }
    runbook_url     = "https://docs.example.com/runbook"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : startswith(alarm.alarm_description, var.runbook_url) && length(alarm.alarm_actions) >= 1])
    error_message = "An alarm does not say what to do, or tells nobody."
  }
  assert {
    condition     = aws_cloudwatch_composite_alarm.this["predict"].alarm_actions == toset(var.notifications.page) && aws_cloudwatch_metric_alarm.this["predict-errors"].alarm_actions == toset(var.notifications.warning)
    error_message = "Nobody is woken, or once for each part."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["predict-no-model"].dimensions == tomap({ function = "plant-disease-predict", route = "/predict", code = "model_unavailable" }) && aws_cloudwatch_metric_alarm.this["predict-errors"].dimensions == tomap({ FunctionName = "plant-disease-predict" })
    error_message = "An alarm looks at what nobody publishes."
  }
}

run "page" {
  command = plan
  module {
    source = "../modules/aws/page"
  }
  variables {
    bucket_name         = "page"
    region              = "eu-central-1"
    certificate_arn     = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    api_url             = "https://api.plants.example.com"
    upload_origins      = ["https://uploads-a.s3.eu-central-1.amazonaws.com", "https://uploads-b.s3.eu-west-1.amazonaws.com"]
    folder              = "../../static_ui"
    deletion_protection = true
  }

  assert {
    condition     = one(aws_cloudfront_distribution.this.default_cache_behavior).viewer_protocol_policy == "redirect-to-https" && one(aws_cloudfront_distribution.this.viewer_certificate).minimum_protocol_version == "TLSv1.2_2021"
    error_message = "The page is there over plain HTTP, or old TLS."
  }
  assert {
    condition     = strcontains(one(one(aws_cloudfront_response_headers_policy.this.security_headers_config).content_security_policy).content_security_policy, "connect-src 'self' https://api.plants.example.com https://uploads-a.s3.eu-central-1.amazonaws.com https://uploads-b.s3.eu-west-1.amazonaws.com;")
    error_message = "The page cannot reach the functions, or not upload in each region."
  }
}
