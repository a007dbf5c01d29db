"""The picture of the speed report: latency at rising rates, memory and cold start, of all services side by side."""

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = {"predict": "#2e7d32", "the usual way": "#9e9e9e", "LitServe": "#7b1fa2", "BentoML": "#ef6c00"}


def draw(request: dict[str, Any], cold_start: dict[str, Any], file: Path) -> None:
    """Write the picture as SVG.

    Args:
        request: figures of `request.run`.
        cold_start: figures of `cold_start.run`.
        file: where to.
    """
    mpl.use("svg")
    with mpl.rc_context({"svg.hashsalt": "speed", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        rates, memory, starts = figure.subplots(1, 3, width_ratios=(3, 1.2, 1.2))
        for name, colour in COLOURS.items():
            rows = [row for row in request["rising"]["256 px"] if row[0] == name]
            if rows:
                asked = [float(row[2]) for row in rows]
                rates.plot(asked, [float(row[5]) for row in rows], "o-", color=colour, label=name, markersize=4)
        rates.set(xlabel="photos of 256 px a second", ylabel="p99, ms", yscale="log", title="latency under load")
        rates.legend(frameon=False)
        _bars(memory, request["memory_mb"], "resident, MB")
        first = {name: median(seconds) for name, seconds in cold_start["seconds"]["all CPUs"].items()}
        _bars(starts, {name: first[name] for name in COLOURS if name in first}, "to the first diagnosis, s")
        for axes in (rates, memory, starts):
            axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file, metadata={"Date": None})


def _bars(axes: Any, values: dict[str, float], title: str) -> None:
    bars = axes.bar(list(values), list(values.values()), color=[COLOURS[name] for name in values])
    axes.bar_label(bars, fmt="{:.3g}")
    axes.tick_params(axis="x", rotation=40)
    axes.set_title(title)
