"""Write the tables in docs/cost.md, and its chart docs/cost.svg, from the prices and the command itself.

Usage: python tools/cost.py
"""

import subprocess
import sys
from itertools import groupby
from pathlib import Path

from plant_disease.cost import PLATFORMS, estimate
from plant_disease.cost.prices import Price, price_list
from plant_disease.cost.workload import Workload

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "cost.md"
CHART = ROOT / "docs" / "cost.svg"

TIERS = (
    ("under 100", 1, 100, "200 to 500"),
    ("100 to 1,000", 100, 1_000, "500 to 1,500"),
    ("over 1,000", 1_000, 10_000, "2,000 to 5,000"),
)
EXAMPLE = ("cost", "--per-minute", "100")
WORK = Workload(requests=0)


def tiers() -> str:
    """What each platform costs at both ends of each tier, beside what was first thought."""
    rows = [
        "| requests a minute | " + " | ".join(PLATFORMS) + " | first thought |",
        "|---" * (len(PLATFORMS) + 2) + "|",
    ]
    for name, low, high, thought in TIERS:
        ends = [
            [estimate(platform, WORK.with_per_minute(rate)).monthly_usd for rate in (low, high)]
            for platform in PLATFORMS
        ]
        rows.append(
            f"| {name} | " + " | ".join(f"{start:,.0f} to {end:,.0f}" for start, end in ends) + f" | {thought} |"
        )
    return "\n".join(rows)


def example() -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "plant_disease.cli", *EXAMPLE]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own command
    lines = "\n".join(line.rstrip() for line in printed.splitlines())
    return f"```\n$ plant-disease {' '.join(EXAMPLE)}\n{lines}\n```"


def prices() -> str:
    """One row for each price, by the page that lists it."""
    rows = ["| price | US dollars | of | list | read from |", "|---|---|---|---|---|"]
    for page, listed in groupby(price_list().prices.items(), lambda item: item[1].page):
        host = page.split("/")[2]
        rows += [
            f"| `{name}` | {_amount(price)} | {price.per} | [{host}]({page}) | {_source(price)} |"
            for name, price in listed
        ]
    return f"Read on {price_list().read}.\n\n" + "\n".join(rows)


def _amount(price: Price) -> str:
    return f"{price.usd:.10f}".rstrip("0").rstrip(".")


def _source(price: Price) -> str:
    name = "Infracost" if "infracost" in price.source else price.source.split("/")[2]
    known = [f"[{name}]({price.source})", price.dated and f"dated {price.dated}", price.note]
    return "; ".join(each for each in known if each)


PARTS = {"tiers": tiers, "example": example, "prices": prices}


def with_tables(text: str) -> str:
    """The document with its tables brought up to date."""
    for name, made in PARTS.items():
        before, _, rest = text.partition(f"<!-- {name}: start -->")
        _, _, after = rest.partition(f"<!-- {name}: end -->")
        text = f"{before}<!-- {name}: start -->\n{made()}\n<!-- {name}: end -->{after}"
    return text


def draw(path: Path) -> None:
    """The chart of dollars a month over requests a minute."""
    import matplotlib

    matplotlib.use("svg")
    # The same bytes each time.
    matplotlib.rcParams.update({"svg.hashsalt": "cost", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    rates = [round(10 ** (exponent / 12), 2) for exponent in range(12 * 4 + 1)]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for platform in PLATFORMS:
        dollars = [estimate(platform, WORK.with_per_minute(rate)).monthly_usd for rate in rates]
        axes.plot(rates, dollars, label=platform, linewidth=1.5)
    axes.set(xscale="log", yscale="log", xlabel="requests a minute", ylabel="US dollars a month")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
    draw(CHART)
