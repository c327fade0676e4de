"""The plot of a run: loss, logit scale, recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..atomic import whole_file
from .metrics import Row

RECALLS = {"image_to_text": "image → text", "text_to_image": "text → image"}


def draw_curves(rows: Sequence[Row], file: Path) -> None:
    """An SVG or PNG, by the file's ending."""
    trained = [row for row in rows if "loss" in row]
    evaluated = [row for row in rows if "image_to_text@1" in row]
    figure = Figure(figsize=(10, 4 if evaluated else 3.6), layout="constrained")
    panels = figure.subplots(1, 2 + bool(evaluated))
    steps = [row["step"] for row in trained]
    panels[0].plot(steps, [row["loss"] for row in trained], color="C0", linewidth=1.2)
    panels[0].set_title("loss")
    panels[1].plot(steps, [row["logit_scale"] for row in trained], color="C1", linewidth=1.2)
    panels[1].set_title("logit scale")
    if evaluated:
        _draw_recall(panels[2], evaluated)
    for panel in panels:
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    with whole_file(file) as unfinished:
        figure.savefig(unfinished, format=file.suffix[1:])


def _draw_recall(panel: Axes, rows: Sequence[Row]) -> None:
    steps = [row["step"] for row in rows]
    for colour, (name, called) in zip(("C2", "C3"), RECALLS.items(), strict=True):
        for k, line in ((1, "-"), (5, "--")):
            shares = [row[f"{name}@{k}"] for row in rows]
            panel.plot(steps, shares, line, color=colour, marker="o", markersize=3, label=f"{called}, @{k}")
    panel.axhline(1 / rows[0]["texts"], color="grey", linewidth=1, linestyle=":", label="a guess, @1")
    panel.set_ylim(0, 1)
    panel.set_title("recall, held out")
    panel.legend(fontsize=8)
