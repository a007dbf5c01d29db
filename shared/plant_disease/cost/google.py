"""Bills of Google Cloud: Cloud Run in both ways of billing, and what stands around it and around GKE."""

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

_GIB = 1024**3
_MILLION = 1_000_000

ARMOR_RULES = 11
"""The preconfigured sets, the rate by address, and the default; the page is only files and has no policy."""
REDIS_GB = 1
MEMORY_MB = {"predict": 512, "batch": 1024, "explain": 2048}
"""Of the functions, as terraform/gcp has them."""
UTILISATION = 0.7
"""Of an instance's CPU, at which another one is started."""


def cloud_run(work: Workload) -> list[Line]:
    """Cloud Run with request-based billing: time in which an instance has a request, rounded up to 100 ms."""
    busy_s = work.requests * ceil(round(work.ms / 100, 6)) / 10 / work.concurrency
    # A warm instance is billed as idle for the time in which it has nothing to do.
    warm_s = work.min_instances * work.regions * SECONDS_PER_MONTH
    idle_s = {name: max(0.0, warm_s - busy_s) if name == "predict" else warm_s for name in MEMORY_MB}
    idle_gib_s = sum(seconds * work.memory_gib(MEMORY_MB[name]) for name, seconds in idle_s.items())
    return [
        Line("CPU while requests run", "cloud_run_cpu", busy_s * work.cpus),
        Line("memory while requests run", "cloud_run_memory", busy_s * work.memory_gib(MEMORY_MB["predict"])),
        Line("requests", "cloud_run_requests", work.requests / _MILLION),
        Line("CPU of warm instances", "cloud_run_idle_cpu", sum(idle_s.values()) * work.cpus),
        Line("memory of warm instances", "cloud_run_idle_memory", idle_gib_s),
        *around(work),
    ]


def cloud_run_instances(work: Workload) -> list[Line]:
    """Cloud Run with instance-based billing: instances are billed as long as they live, and requests are not."""
    floor = max(1, work.min_instances) * work.regions
    instances = {name: max(floor, busy_instances(work)) if name == "predict" else floor for name in MEMORY_MB}
    gib = sum(count * work.memory_gib(MEMORY_MB[name]) for name, count in instances.items())
    return [
        Line("CPU of instances", "cloud_run_instance_cpu", sum(instances.values()) * SECONDS_PER_MONTH * work.cpus),
        Line("memory of instances", "cloud_run_instance_memory", gib * SECONDS_PER_MONTH),
        *around(work),
    ]


def busy_instances(work: Workload) -> int:
    """Instances that the CPU time of the busiest minutes needs, at `UTILISATION` of their CPU."""
    cpu_s_per_s = work.requests / SECONDS_PER_MONTH * work.peak * work.cpu_ms / 1000
    return ceil(cpu_s_per_s / (work.cpus * UTILISATION))


def around(work: Workload) -> list[Line]:
    """Load balancer, Cloud Armor, answers to the Internet, logs, uploads, and Memorystore where limits are counted."""
    visits = work.requests * VISITS_PER_REQUEST
    lines = [
        Line("load balancer", "google_forwarding_rule", HOURS_PER_MONTH),
        Line("bytes through the load balancer", "google_balanced_data", work.requests * work.balanced_kb * 1000 / _GIB),
        Line("answers to the Internet", "google_egress", work.requests * work.answer_kb * 1000 / _GIB),
        Line("Cloud Armor", "cloud_armor_policy", 1),
        Line("Cloud Armor's rules", "cloud_armor_rule", ARMOR_RULES),
        Line("requests through Cloud Armor", "cloud_armor_requests", work.requests / _MILLION),
        Line("the page's requests", "cloud_cdn_lookups", visits * PAGE_REQUESTS / _MILLION),
        Line("the page's bytes", "google_egress", visits * PAGE_KB * 1000 / _GIB),
        Line("logs", "cloud_logging", work.requests * work.log_kb * 1000 / _GIB),
    ]
    uploads = work.requests * work.upload_share / _MILLION
    if uploads:
        lines += [
            Line("uploads written", "google_storage_writes", uploads),
            Line("uploads read", "google_storage_reads", uploads),
        ]
    if work.limits:
        lines.append(Line("Memorystore", "memorystore", REDIS_GB * HOURS_PER_MONTH * work.regions))
    return lines
