"""What `labels` does."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..bundle import LabelTexts, make_label_set
from ..bundle_encoders import (
    bundle_text_encoder,
)
from ..label_set import write_label_set
from ..manifest import read_manifest
from ..progress import bar


def write_labels(console: Console, bundle: Path, texts: LabelTexts, out: Path) -> None:
    """Embeds a label set with the bundle's text encoder."""
    manifest = read_manifest(bundle)
    label_set = make_label_set(manifest, texts, bundle_text_encoder(bundle, manifest, bar))
    write_label_set(label_set, out)
    console.print(f"{out}: {len(label_set.labels)} labels for {manifest['id']}")
