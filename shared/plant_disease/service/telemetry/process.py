"""What there is to know about this process."""

import os
import time
from pathlib import Path

_imported = time.monotonic()


def is_lambda() -> bool:
    """Whether this is AWS Lambda."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def age_s() -> float:
    """Seconds since the process began; where the system does not tell, since this module was imported."""
    try:
        # After the name of the program, which may have spaces and brackets; see proc_pid_stat(5).
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError):
        return time.monotonic() - _imported
