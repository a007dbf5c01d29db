"""The pictures of a model card, as SVG: the same bytes for the same figures, and readable on any background.

Needs matplotlib, which nothing else does.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from plant_disease.training.corruptions import STRENGTHS
from plant_disease.training.evaluation.report import CorruptionReport, GateReport, LeafReport
from plant_disease.training.evaluation.run import Evaluation

# Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#8a8a8a"

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "plant-disease",
    "svg.fonttype": "none",  # letters, not outlines: a tenth of the size, and they can be searched
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def draw(measured: Evaluation, class_ids: Sequence[str]) -> dict[str, bytes]:
    """Every picture that there are figures for: file name -> SVG."""
    with mpl.rc_context(_STYLE):
        figures = {"reliability.svg": _reliability(measured.leaves)}
        largest = max(measured.leaves, key=lambda report: report.quality.photos)
        figures["confusion.svg"] = _confusion(largest, class_ids)
        if measured.gate:
            figures["gate.svg"] = _gate(measured.gate, measured)
        if measured.corruptions:
            figures["corruptions.svg"] = _corruptions(measured.corruptions)
        return {name: _svg(figure) for name, figure in figures.items()}


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without a date the bytes depend on the figures alone.
    figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return buffer.getvalue()


def _reliability(leaves: Sequence[LeafReport]) -> Figure:
    columns = min(len(leaves), 4)
    rows = -(-len(leaves) // columns)
    figure = Figure(figsize=(2.5 * columns + 0.5, 2.7 * rows + 0.2), layout="constrained")
    for index, report in enumerate(leaves):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
        for bins, colour, marker, label in (
            (report.before, _COLOURS[1], "x", "softmax"),
            (report.after, _COLOURS[0], "o", "calibrated"),
        ):
            # Area by number: a bin of three photos says little.
            sizes = [6 + 90 * b.photos / report.quality.photos for b in bins]
            axes.plot([b.confidence for b in bins], [b.right for b in bins], color=colour, linewidth=1, alpha=0.5)
            axes.scatter(
                [b.confidence for b in bins], [b.right for b in bins], sizes, color=colour, marker=marker, label=label
            )
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.05), title=f"{report.name} ({report.quality.photos})", aspect="equal")
        axes.set_xlabel("confidence")
        if index % columns == 0:
            axes.set_ylabel("share right")
        if index == 0:
            axes.legend(loc="lower right", handletextpad=0.2, markerscale=0.8)
    return figure


def _confusion(report: LeafReport, class_ids: Sequence[str]) -> Figure:
    counts = np.array(report.confusion)
    used = np.flatnonzero(counts.sum(axis=1) + counts.sum(axis=0)).tolist()
    counts = counts[np.ix_(used, used)]
    names = [class_ids[i].replace("___", ": ").replace("_", " ").strip() for i in used]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 0.21 * len(used) + 1
    figure = Figure(figsize=(side + 2.4, side + 1.6))
    axes = figure.add_subplot()
    cells = np.argwhere(counts).tolist()
    squares = PatchCollection([Rectangle((x - 0.5, y - 0.5), 1, 1) for y, x in cells])
    # The root, so that a single photo gone astray is seen.
    squares.set(array=np.sqrt(shares[counts > 0]), cmap="Blues", clim=(-0.15, 1), edgecolor="none")
    axes.add_collection(squares)
    for y, x in cells:
        colour = "white" if shares[y, x] > 0.35 else "black"
        axes.text(x, y, str(counts[y, x]), ha="center", va="center", fontsize=6, color=colour)
    axes.set_xticks(range(len(used)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(used)), names, fontsize=7)
    axes.set(xlim=(-0.5, len(used) - 0.5), ylim=(len(used) - 0.5, -0.5), aspect="equal")
    axes.set(xlabel="answer", ylabel="truth", title=f"{report.name}: how many photos of a class were taken for which")
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.grid(color="#eeeeee", linewidth=0.5)
    return figure


def _gate(gate: GateReport, measured: Evaluation) -> Figure:
    let_in = 1 - sum(r.refused.hits for r in measured.non_leaves) / sum(r.refused.of for r in measured.non_leaves)
    leaves = [1 - report.quality.refused.hits / report.quality.photos for report in measured.leaves]
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, corners) in enumerate(gate.curves.items()):
        x, y = np.array(corners).T
        areas = " / ".join(f"{area:.3f}" for area in gate.auroc[name].values())
        axes.plot(x, y, color=_COLOURS[index % len(_COLOURS)], linewidth=1.6, label=f"{name}: {areas}")
    served = [let_in] * len(leaves)
    axes.scatter(
        served,
        leaves,
        22,
        color=[_COLOURS[i % len(_COLOURS)] for i in range(len(leaves))],
        edgecolor="black",
        zorder=3,
        label="as served",
    )
    # Linear near nought, so that the curves can begin there, and logarithmic beyond.
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xticks([0, 0.01, 0.1, 1], ["0", "1 %", "10 %", "100 %"])
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set(xlabel="pictures without a leaf let in", ylabel="leaves let in")
    axes.legend(loc="lower right", title=f"area under the curve against\n{' / '.join(next(iter(gate.auroc.values())))}")
    return figure


def _corruptions(report: CorruptionReport) -> Figure:
    figure = Figure(figsize=(6.4, 0.27 * len(report.top_1) + 0.9), layout="constrained")
    axes = figure.add_subplot()
    kinds = sorted(report.top_1, key=lambda kind: -float(np.median(report.top_1[kind])))
    for index, strength in enumerate(STRENGTHS):
        shares = [100 * report.top_1[kind][index] for kind in kinds]
        axes.scatter(shares, range(len(kinds)), 26, color=_COLOURS[index], marker="osD"[index], label=str(strength))
    axes.axvline(100 * report.clean, color="black", linewidth=1, label="as they are")
    axes.axvline(100 * report.median, color="black", linewidth=1, linestyle="--", label="median")
    axes.set_yticks(range(len(kinds)), kinds)
    axes.invert_yaxis()
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set(xlabel="top-1, %", title=f"{report.name}, spoilt mildly (1) to strongly (3)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
