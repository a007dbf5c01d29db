"""The health check of the container images, which have no curl: exit code 0 if the service is ready."""

import os
import sys
from http.client import HTTPConnection, HTTPException


def main() -> None:
    """Ask /health/ready."""
    host = os.environ.get("HOST", "127.0.0.1")
    connection = HTTPConnection(host, int(os.environ.get("PORT", "8080")), timeout=4)
    try:
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        sys.exit(f"no answer: {error}")
    if status != 200:
        sys.exit(f"not ready: {status}")


if __name__ == "__main__":
    main()
