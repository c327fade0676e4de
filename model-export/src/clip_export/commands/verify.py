"""What `verify` does."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ..bundle_encoders import ONNX, FloatGraphs, write_float_graphs
from ..edge import EdgeCode, EdgeError, find_edge
from ..manifest import read_manifest, revision, write_manifest
from ..measurements import Measurements
from ..photo_list import PhotoList, left_out_line, named
from ..progress import bar
from ..report import accuracy_table, parity_table, temperature_line
from ..sources.source import Source, load_source
from ..stages import Subject
from ..tolerance import Tolerance
from ..verify import check_quality, measure_bundle


@dataclass(frozen=True)
class Checks:
    """How a bundle is checked."""

    limit: Tolerance = field(default_factory=Tolerance)
    edge: bool = True
    """whether the edge's own code is run through Node, where there is one"""
    report: Path | None = None
    """the HTML page to write"""


def verify_bundle(
    console: Console,
    bundle: Path,
    source: str,
    photos: Sequence[PhotoList],
    checks: Checks,
    weights: Path | None = None,
    device: torch.device | None = None,
) -> None:
    """Measures a bundle against its checkpoint and writes `quality`. Raises SourceError for another checkpoint."""
    manifest = read_manifest(bundle)
    checkpoint = load_source(source, checkpoint=weights, image_only=manifest["text"] is None, device=device)
    checkpoint.check_made(manifest)
    runtimes = [manifest[name]["runtime"] for name in ("image", "text") if manifest[name]]
    with tempfile.TemporaryDirectory() as scratch:
        graphs = None
        if ONNX in runtimes:
            with console.status("float graphs"):
                graphs = write_float_graphs(checkpoint, Path(scratch))
        verify_into(console, bundle, manifest, checkpoint, graphs, photos, checks)


def verify_into(
    console: Console,
    folder: Path,
    manifest: dict[str, Any],
    checkpoint: Source,
    graphs: FloatGraphs | None,
    photos: Sequence[PhotoList],
    checks: Checks,
) -> None:
    """Measures, prints, writes the report, checks, and writes `quality` into the manifest only if all is within the
    tolerance."""
    code = edge_code(console, folder) if checks.edge else None
    subject = Subject(folder, manifest, checkpoint, graphs, code, bar, costs=checks.report is not None)
    measured = measure_bundle(subject, photos)
    quality = measured.quality()
    print_measured(console, measured, quality, checks.limit)
    if checks.report:
        from ..report_page.page import write_page  # which imports matplotlib: a second

        facts = {**manifest, "revision": revision(manifest), "quality": quality}
        write_page(checks.report, facts, measured, checks.limit)
        console.print(f"{checks.report}: the report", highlight=False)
    check_quality(quality, checks.limit)
    write_manifest(folder, {**manifest, "quality": quality})


def edge_code(console: Console, folder: Path) -> EdgeCode | None:
    """The edge's code, or a warning that it was not run."""
    try:
        return find_edge(folder)
    except EdgeError as error:
        console.print("[bold yellow]WARNING: nothing was measured at the edge.[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return None


def print_measured(console: Console, measured: Measurements, quality: dict[str, Any], limit: Tolerance) -> None:
    console.print(parity_table(quality, limit))
    if quality["accuracy"]:
        console.print(accuracy_table(quality, limit))
    lines = [*map(temperature_line, quality["accuracy"]), *(left_out_line(entry.photos) for entry in measured.lists)]
    if measured.refused:
        lines.append(f"{len(measured.refused)} photos are refused at the edge: {named(measured.refused)}")
    for line in filter(None, lines):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
