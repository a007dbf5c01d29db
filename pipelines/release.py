"""Write the Terraform variables of one step of a release to standard output, as JSON.

Usage: python pipelines/release.py canary|full|back --base FILE --live FILE --new FILE [--percent 10]

canary: what is live stays, and a share of the requests goes to the new images. full: all of them. back: none of them.
`--base` has the variables of the deployment, `--live` and `--new` map predict, batch and explain to digests.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

FUNCTIONS = ("predict", "batch", "explain")


def variables(
    step: str, base: dict[str, Any], live: dict[str, str], new: dict[str, str], percent: int
) -> dict[str, Any]:
    """`functions` and `image_digests` for a step.

    Raises:
        ValueError: a digest is missing or none, or the percentage is not from 1 to 99.
    """
    for digests in (live, new):
        if set(digests) != set(FUNCTIONS) or not all(
            re.fullmatch("sha256:[0-9a-f]{64}", each) for each in digests.values()
        ):
            raise ValueError(f"needs a digest sha256:... for each of {', '.join(FUNCTIONS)}")
    if not 1 <= percent <= 99:
        raise ValueError("the percentage of a canary is from 1 to 99")
    # Terraform replaces a whole variable, so what the deployment says of its functions has to be said again.
    functions = {name: dict(base.get("functions", {}).get(name, {})) for name in FUNCTIONS}
    for name, function in functions.items():
        function.pop("canary", None)
        if step == "canary":
            function["canary"] = {"digest": new[name], "percent": percent}
    return {"functions": functions, "image_digests": new if step == "full" else live}


def main() -> int:
    """Write the variables; the exit code."""
    parser = argparse.ArgumentParser(description="Write the Terraform variables of one step of a release.")
    parser.add_argument("step", choices=["canary", "full", "back"])
    for name in ("base", "live", "new"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--percent", type=int, default=10)
    options = parser.parse_args()
    try:
        base, live, new = (json.loads(path.read_text()) for path in (options.base, options.live, options.new))
        result = variables(options.step, base, live, new, options.percent)
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
