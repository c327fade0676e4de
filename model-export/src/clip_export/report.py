"""Tables for the terminal: what verify measured, and how template files compare."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from .accuracy import Accuracy
from .engine.calibration import Calibrated, Goal
from .tolerance import Tolerance

STAGES = {
    "floatGraph": "float graph",
    "int8": "int8 graph",
    "float16": "float16 graph",
    "float32": "float32 graph",
    "engineWeights": "engine weights",
    "edge": "at the edge",
}
"""`quality.parity`'s names, for people"""
VARIANTS = {"float": "float", "int8": "int8", "edge": "at the edge"}
"""`quality.accuracy`'s"""


def calibration_line(tower: str, made: Calibrated, goal: Goal) -> str:
    """What calibration chose for an encoder, and how near it is to float on the data that nothing was fitted to."""
    cosines = f"cosine {made.cosines.mean():.6f} on the mean, {made.cosines.min():.6f} at worst"
    return (
        f"{tower} encoder: {len(made.fast)} of {made.linears} linears are fast, {made.share:.0%} of their "
        f"multiplications; {cosines}, on {len(made.cosines)} {tower}s kept apart"
        + ("" if goal.met_by(made.cosines) else f" (--parity {goal.mean} is not reached)")
    )


def parity_table(quality: dict[str, Any], tolerance: Tolerance) -> Table:
    """Cosines to PyTorch, with the least that is allowed."""
    table = Table("encoder", "stage", "compared", "mean cosine", "worst cosine", "allowed", title="Parity with PyTorch")
    for tower, measured in quality["parity"].items():
        for stage, limit in tolerance.cosines(measured).items():
            mean, worst = (f"{measured[stage][key]:.6f}" for key in ("cosineMean", "cosineWorst"))
            table.add_row(tower, STAGES[stage], str(measured["count"]), mean, worst, str(limit))
    return table


def accuracy_table(quality: dict[str, Any], tolerance: Tolerance) -> Table:
    """Zero-shot accuracy in float, in int8 and at the edge."""
    title = f"Zero-shot accuracy (the bundle may lose {tolerance.top1_loss:.1%} of top-1)"
    table = Table("photos", "count", "label set", "arithmetic", "top-1", "top-5", "ECE", title=title)
    for entry in quality["accuracy"]:
        for arithmetic in (name for name in VARIANTS if name in entry):
            shares = (f"{entry[arithmetic][key]:.2%}" for key in ("top1", "top5", "ece"))
            count = entry["count"] - entry[arithmetic].get("refused", 0)
            table.add_row(entry["photos"], str(count), entry["labelSet"], VARIANTS[arithmetic], *shares)
    return table


def temperature_line(entry: dict[str, Any]) -> str:
    """What was fitted to a photo list's scores, and what it does on the photos kept apart; empty if nothing was."""
    fitted = entry.get("calibration")
    if not fitted:
        return ""
    names = [name for name in ("temperature", "scale", "bias") if name in fitted]
    what = ", ".join(f"{name} {fitted[name]:.3f}" for name in names)
    before, after = (f"{fitted[key]:.2%}" for key in ("eceBefore", "eceAfter"))
    where = f"fitted on {fitted['fittedOn']} of the photos; ECE on the other {fitted['judgedOn']}"
    return f"{entry['photos']}, {VARIANTS[fitted['of']]}: {what}, {where} {before} before, {after} with it"


def template_table(results: dict[str, tuple[int, Accuracy]]) -> Table:
    """Template files, best first: {name: (number of templates, accuracy)}."""
    table = Table("templates", "count", "top-1", "top-5", "ECE", title="Templates, in float")
    for name, (count, accuracy) in sorted(results.items(), key=lambda item: (-item[1][1].top1, -item[1][1].top5)):
        table.add_row(name, str(count), f"{accuracy.top1:.2%}", f"{accuracy.top5:.2%}", f"{accuracy.ece:.2%}")
    return table
