"""How many CPUs this process may really use."""

import os
from pathlib import Path


def available_cpus(root: Path = Path("/")) -> int:
    """Whole CPUs granted by the scheduler's affinity and by the cgroup's quota (v1 or v2), at least 1.

    A fractional quota is rounded down: one thread more than the quota is throttled for the rest of
    each period, which costs far more at the 99th percentile than the thread gives.

    Args:
        root: where /proc and /sys are found.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, int(_quota(root) or affinity)))


def _quota(root: Path) -> float | None:
    """The smallest CPU quota on the way from this process's cgroup up to the root, None without one."""
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, read = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            base, read = root / "sys/fs/cgroup" / controllers, _quota_v1
            if not base.is_dir():
                base = root / "sys/fs/cgroup/cpu"
        else:
            continue
        # Inside a container without a cgroup namespace the path is the host's and the mount shows only our part.
        relative = Path(path.lstrip("/"))
        quotas += [read(base / folder) for folder in (relative, *relative.parents)]
    return min((q for q in quotas if q is not None), default=None)


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
