"""What `verify` does."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ..bundle_encoders import (
    ONNX,
    FloatGraphs,
    write_float_graphs,
)
from ..manifest import read_manifest, write_manifest
from ..photo_list import PhotoList
from ..progress import bar
from ..report import accuracy_table, parity_table
from ..sources.source import Source, load_source
from ..tolerance import Tolerance
from ..verify import check_quality, measure_quality


def verify_bundle(
    console: Console,
    bundle: Path,
    source: str,
    photos: Sequence[PhotoList],
    limit: Tolerance,
    weights: Path | None = None,
    device: torch.device | None = None,
) -> None:
    """Measures a bundle against its checkpoint and writes `quality`."""
    manifest = read_manifest(bundle)
    checkpoint = load_source(source, checkpoint=weights, image_only=manifest["text"] is None, device=device)
    runtimes = [manifest[name]["runtime"] for name in ("image", "text") if manifest[name]]
    with tempfile.TemporaryDirectory() as scratch:
        graphs = None
        if ONNX in runtimes:
            with console.status("float graphs"):
                graphs = write_float_graphs(checkpoint, Path(scratch))
        verify_into(console, bundle, manifest, checkpoint, graphs, photos, limit)


def verify_into(
    console: Console,
    folder: Path,
    manifest: dict[str, Any],
    checkpoint: Source,
    graphs: FloatGraphs | None,
    photos: Sequence[PhotoList],
    limit: Tolerance,
) -> None:
    """Measures, prints, checks, and writes `quality` into the manifest only if all is within the tolerance."""
    quality = measure_quality(folder, manifest, checkpoint, graphs, photos, bar)
    console.print(parity_table(quality, limit))
    if quality["accuracy"]:
        console.print(accuracy_table(quality, limit))
    check_quality(quality, limit)
    write_manifest(folder, {**manifest, "quality": quality})
