"""The figures of the page, each with a text that says what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from ..calibrated_scores import CalibratedScores
from ..measurements import EDGE, Compared
from ..reliability import Bin
from ..report import STAGES
from .svg import COLOURS, drawing, inline_svg

SERIES = ("series-1", "series-2", "series-3")
NEAREST = 1e-7
"""from 1, the cosine of two unit vectors of float32 says nothing"""


def cosine_histogram(compared: Compared, limits: dict[str, float], encoder: str) -> str:
    """How far each stage's embeddings are from PyTorch's, as 1 - cosine on a logarithmic axis."""
    known = {stage: values[~np.isnan(values)] for stage, values in compared.cosines.items()}
    distances = {stage: np.clip(1 - values, NEAREST, 2) for stage, values in known.items() if len(values)}
    ends = np.log10([min(d.min() for d in distances.values()), max(d.max() for d in distances.values())])
    edges = np.logspace(ends[0] - 0.05, ends[1] + 0.05, 31)
    with drawing(2.5) as figure:
        axes = figure.add_subplot()
        for colour, (stage, values) in zip(SERIES, distances.items(), strict=False):
            weights = np.full(len(values), 1 / len(values))
            look = {"histtype": "stepfilled", "alpha": 0.25, "linewidth": 0, "color": COLOURS[colour]}
            line = {"histtype": "step", "linewidth": 1.6, "edgecolor": COLOURS[colour], "label": STAGES[stage]}
            axes.hist(values, edges, weights=weights, **look)
            axes.hist(values, edges, weights=weights, **line, linestyle="--" if stage == EDGE else "-")
        for limit in sorted(set(limits.values())):
            axes.axvline(1 - limit, color=COLOURS["muted"], linewidth=1, linestyle=":")
            place = {"xy": (1 - limit, 0.98), "xycoords": axes.get_xaxis_transform(), "rotation": 90}
            room = {"xytext": (-3, 0), "textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 8}
            axes.annotate(f"allowed: {limit}", **place, **room, color=COLOURS["muted"])
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("distance from PyTorch, 1 − cosine (left is nearer)")
        axes.set_ylabel(f"share of {compared.on if encoder == 'image' else 'texts'}")
        figure.legend(loc="outside upper left", ncols=3)
    worst = ", ".join(f"{STAGES[stage]} {values.min():.6f}" for stage, values in known.items() if len(values))
    text = f"Histogram of the {encoder} encoder's distance from PyTorch, by stage. Worst cosines: {worst}."
    return inline_svg(figure, f"cosines-{encoder}", text)


def reliability_diagram(scores: CalibratedScores, name: str) -> str:
    """Score against share that is right, before and after the fit, over how many photos have such a score."""
    looks = [("before", scores.before, "series-2", "--", "o"), ("after", scores.after, "series-1", "-", "s")]
    with drawing(3.9) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        upper.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle=":", label="honest")
        for label, bins, colour, style, marker in looks:
            x, y = [b.confidence for b in bins], [b.right for b in bins]
            drawn = {"color": COLOURS[colour], "linestyle": style, "marker": marker, "markersize": 4, "linewidth": 1.5}
            upper.plot(x, y, **drawn, label=label)
            lower.plot(x, [b.share for b in bins], **{**drawn, "markersize": 3})
        upper.set_ylabel("share that is right")
        lower.set_ylabel("photos")
        lower.set_xlabel("score of the first answer")
        for axes in (upper, lower):
            _percent_axes(axes)
        upper.set(xlim=(0, 1.02), ylim=(0, 1.04))
        lower.set_ylim(0)
        figure.legend(loc="outside upper left", ncols=3)
    text = (
        f"Reliability diagram of {name}: the share of right answers for each range of scores. "
        f"Expected calibration error {scores.ece_before:.1%} before and {scores.ece_after:.1%} after the fit. "
        f"After it: {_in_words(scores.after)}."
    )
    return inline_svg(figure, f"reliability-{name}", text)


def _percent_axes(axes: Axes) -> None:
    axes.grid(True)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _in_words(bins: Sequence[Bin]) -> str:
    return ", ".join(f"score {b.confidence:.0%} right {b.right:.0%}" for b in bins)


def confusion_matrix(rows: Sequence[str], columns: Sequence[str], shares: np.ndarray, name: str) -> str:
    """`shares` [rows, columns]: of a row's photos, how many are given the column's label. The first column, or the
    diagonal, is what is right."""
    right = np.array([[column in (row, RIGHT) for column in columns] for row in rows])
    with drawing(1.5 + 0.27 * len(rows)) as figure:
        axes = figure.add_subplot()
        for colour, cells in (("series-3", right), ("series-2", ~right)):
            for y, x in zip(*np.nonzero(cells & (shares >= 0.005)), strict=True):
                look = {"color": COLOURS[colour], "alpha": round(0.12 + 0.68 * float(shares[y, x]), 2), "linewidth": 0}
                axes.add_patch(_cell(x, y, look))
                axes.text(x, y, f"{100 * shares[y, x]:.0f}", ha="center", va="center", fontsize=8)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
        turned = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(columns)), [_short(label) for label in columns], **turned)
        axes.set_yticks(range(len(rows)), [_short(label) for label in rows])
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, labelcolor=COLOURS["ink"])
        axes.spines[:].set_visible(False)
        axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.tick_params(which="minor", length=0)
        axes.grid(True, which="minor")
    text = f"Confusion of the classes of {name} that are known worst, in percent of their photos; the table has them."
    return inline_svg(figure, f"confusion-{name}", text)


RIGHT = "right"
"""the column of what is right, where the columns are not the rows' own labels"""


def _cell(x: int, y: int, look: dict):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, **look)


def _short(label: str, length: int = 18) -> str:
    return label if len(label) <= length else label[: length - 1].rstrip() + "…"


def bars(values: Sequence[tuple[str, float, str]], name: str, unit: str, text: str) -> str:
    """Horizontal bars: (what, how much, how much in words)."""
    with drawing(0.5 + 0.3 * len(values)) as figure:
        axes = figure.add_subplot()
        names, amounts, words = zip(*values, strict=True)
        colours = [COLOURS["series-1"] if "PyTorch" not in what else COLOURS["muted"] for what in names]
        drawn = axes.barh(range(len(values)), amounts, color=colours, height=0.62)
        axes.bar_label(drawn, words, padding=4, fontsize=8.5, color=COLOURS["ink"])
        axes.set_yticks(range(len(values)), names)
        axes.tick_params(length=0, labelcolor=COLOURS["ink"])
        axes.set(ylim=(len(values) - 0.5, -0.5), xlim=(0, 1.35 * max(amounts)), xticks=[], xlabel=unit)
        axes.spines[["bottom"]].set_visible(False)
    return inline_svg(figure, name, text)
