"""Bills of AWS: Lambda, and what stands around it and around EKS."""

from math import ceil

from plant_disease.cost.workload import (
    HOURS_PER_MONTH,
    PAGE_KB,
    PAGE_REQUESTS,
    SECONDS_PER_MONTH,
    VISITS_PER_REQUEST,
    Line,
    Workload,
)

_GB = 1_000_000_000
_MILLION = 1_000_000

MB_PER_VCPU = 1769
"""Lambda gives CPU by memory: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
LCU_GB_PER_HOUR_LAMBDA = 0.4
LCU_GB_PER_HOUR = 1.0
LCU_CONNECTIONS_PER_S = 25
"""An LCU: https://handbook.vantage.sh/aws/services/elb-pricing"""
MEMORY_MB = {"predict": MB_PER_VCPU, "batch": MB_PER_VCPU, "explain": 2048}
"""Of the functions, as terraform/aws has them."""
WAF_RULES = 7
"""Rates by key and address, and AWS's managed sets."""
METRICS_PER_FUNCTION = 6
ALARMS_PER_FUNCTION = 10
ALARMS_PER_REGION = 5
"""Of the load balancer, the certificate, usage and the health check."""


def aws_lambda(work: Workload) -> list[Line]:
    """Lambda: one request at a time in an instance, by the millisecond; memory also decides how fast its CPU is."""
    gb_s = work.requests * lambda_ms(work) / 1000 * work.memory_gib(MEMORY_MB["predict"])
    warm_s = work.min_instances * work.regions * SECONDS_PER_MONTH
    warm_gb_s = warm_s * sum(work.memory_gib(default) for default in MEMORY_MB.values())
    return [
        Line("requests", "lambda_requests", work.requests / _MILLION),
        Line("duration", "lambda_duration", gb_s),
        Line("provisioned concurrency", "lambda_provisioned", warm_gb_s),
        Line("metrics", "cloudwatch_metric", METRICS_PER_FUNCTION * len(MEMORY_MB) * work.regions),
        Line("alarms", "cloudwatch_alarm", (ALARMS_PER_FUNCTION * len(MEMORY_MB) + ALARMS_PER_REGION) * work.regions),
        # One for each function, and one for the whole.
        Line("composite alarms", "cloudwatch_composite_alarm", len(MEMORY_MB) * work.regions + 1),
        Line("dashboard", "cloudwatch_dashboard", 1),
        *around(work, LCU_GB_PER_HOUR_LAMBDA),
    ]


def lambda_ms(work: Workload) -> int:
    """Milliseconds billed for a request: its CPU time takes longer where memory buys less than one CPU."""
    slower = max(1.0, MB_PER_VCPU / 1024 / work.memory_gib(MEMORY_MB["predict"]))
    return ceil(round(work.ms - work.cpu_ms + work.cpu_ms * slower, 6))


def around(work: Workload, lcu_gb_per_hour: float) -> list[Line]:
    """Load balancers and WAF in each region, DNS, page, keys, logs, answers, uploads, and DynamoDB for limits.

    Args:
        work: the month's work.
        lcu_gb_per_hour: what one LCU carries to this kind of target.
    """
    balanced_gb = work.requests * work.balanced_kb * 1000 / _GB
    # Of the dimensions of an LCU the dearest counts. Each request may be a connection of its own.
    lcu_hours = max(balanced_gb / lcu_gb_per_hour, work.requests / (LCU_CONNECTIONS_PER_S * 3600))
    visits = work.requests * VISITS_PER_REQUEST
    lines = [
        Line("load balancers", "alb", HOURS_PER_MONTH * work.regions),
        Line("capacity of load balancers", "alb_lcu", lcu_hours),
        Line("answers to the Internet", "aws_egress", work.requests * work.answer_kb * 1000 / _GB),
        # The page has none: it is only files.
        Line("WAF", "waf_acl", work.regions),
        Line("WAF's rules", "waf_rule", WAF_RULES * work.regions),
        Line("requests through WAF", "waf_requests", work.requests / _MILLION),
        Line("the page's bytes", "cloudfront_data", visits * PAGE_KB * 1000 / _GB),
        Line("the page's requests", "cloudfront_requests", visits * PAGE_REQUESTS / _MILLION),
        Line("DNS zone", "route53_zone", 1),
        Line("health checks", "route53_health_check", work.regions),
        Line("encryption keys", "kms_key", work.regions),
        Line("logs", "cloudwatch_logs", work.requests * work.log_kb * 1000 / _GB),
    ]
    uploads = work.requests * work.upload_share / _MILLION
    if uploads:
        lines += [Line("uploads written", "s3_writes", uploads), Line("uploads read", "s3_reads", uploads)]
    if work.limits:
        # One write a request (docs/limits.md), and each is written in every region.
        lines.append(Line("DynamoDB", "dynamodb_writes", work.requests * work.regions / _MILLION))
    return lines
