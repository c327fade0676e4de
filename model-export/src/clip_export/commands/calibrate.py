"""What `calibrate` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ..bundle_encoders import bundle_image_encoder
from ..errors import ExportError
from ..label_embedding import embed_all
from ..label_file import read_lines
from ..label_set import LabelSet, check_place, read_dtype, read_label_set, write_label_set
from ..label_set_calibration import Background, Calibration, calibrate, calibrated
from ..label_texts import LabelSetError, LabelTexts
from ..manifest import read_manifest, revision
from ..photo_list import PhotoList, left_out_line, load_photos
from ..progress import bar
from ..prompt_encoders import PromptEncoder
from .labels import LabelOptions, choose_encoder, say


@dataclass(frozen=True)
class CalibrateOptions:
    """How to calibrate."""

    false_positive_rate: float
    encoder: LabelOptions
    """of the background texts: as the label set's own"""
    background: Path | None = None


def calibrate_label_set(
    console: Console,
    path: Path,
    bundle: Path,
    photos: PhotoList,
    foreign: Sequence[PhotoList],
    options: CalibrateOptions,
    out: Path,
) -> None:
    """Fits, measures on what was kept apart, prints, and writes the set with its calibration to `out`."""
    check_place(out)
    manifest, label_set = read_manifest(bundle), read_label_set(path)
    check_made_for(manifest, label_set, path)
    background = embed_background(bundle, manifest, label_set, options)
    embeddings = {}
    encode = bundle_image_encoder(bundle, manifest, bar)
    names = [item.name for item in (photos, *foreign)]
    if len(set(names)) < len(names):
        raise ExportError(f"two photo lists have one name: {', '.join(names)}")
    for item in (photos, *foreign):
        read, pixels = load_photos(item, manifest["image"], bar)
        if read.left_out:
            say(console, left_out_line(read))
        embeddings[item.name] = (encode(pixels), read.labels)
    rows, labels = embeddings.pop(photos.name)
    similarity = manifest["similarity"]
    made = calibrate(
        label_set,
        similarity["logitScale"],
        (photos.name, rows, labels),
        {name: others for name, (others, _) in embeddings.items()},
        background,
        options.false_positive_rate,
        similarity.get("logitBias"),
    )
    console.print(table(made))
    write_label_set(calibrated(label_set, made), out, read_dtype(path))
    say(console, f"{out}: {len(label_set.labels):,} labels, calibrated on {made.measured.fitted_on} pictures")


def check_made_for(manifest: dict, label_set: LabelSet, path: Path) -> None:
    """Raises LabelSetError for a set of another model."""
    if label_set.revision != revision(manifest):
        raise LabelSetError(
            f"{path.name} was made for {label_set.model}, revision {label_set.revision[:12]}, and "
            f"{manifest['id']} is at {revision(manifest)[:12]}: make it again with this bundle"
        )


def embed_background(bundle: Path, manifest: dict, label_set: LabelSet, options: CalibrateOptions) -> Background:
    """By the text encoder that made the set; beside rows of pictures alone, by any of the bundle's model."""
    dim = manifest["embeddingDim"]
    if options.background is None:
        return Background([], np.zeros((0, dim), np.float32))
    lines = list(dict.fromkeys(read_lines(options.background)))
    if not lines:
        raise LabelSetError(f"{options.background.name} has no texts")
    encoder: PromptEncoder = choose_encoder(bundle, manifest, options.encoder)
    of_texts = label_set.templates or {"prompts", "synonyms"} & set(label_set.more)  # not of example pictures alone
    if of_texts and ("textEncoder" in label_set.more) != (encoder.called is not None):
        raise ExportError(
            "the set was made with --source, its background needs the same"
            if "textEncoder" in label_set.more
            else "the set was made with the bundle's own text encoder: leave --source out"
        )
    return Background(lines, embed_all(LabelTexts("", lines, ["{}"]), encoder).rows)


def table(made: Calibration) -> Table:
    """What was fitted, and what it gives on other pictures."""
    measured = made.measured
    title = f"Fitted on {measured.fitted_on} pictures of {measured.images}, measured on {measured.judged_on} others"
    rows = Table("what", "value", title=title)
    rows.add_row("temperature", f"{made.temperature:.4f}")
    rows.add_row("Platt's scale and bias", f"{made.platt.scale:.4f}, {made.platt.bias:.4f}")
    rows.add_row(f"threshold for {made.false_positive_rate:.1%} false positives", f"{made.threshold:.4f}")
    rows.add_row("top-1 before the threshold", f"{measured.top1:.2%}")
    rows.add_row("ECE before, after", f"{measured.ece_before:.2%}, {measured.ece_after:.2%}")
    rows.add_row('"none of these": pictures of the labels', f"{measured.rejected_known:.1%}")
    rows.add_row('"none of these": the same without their own label', f"{measured.rejected_without_label:.1%}")
    for name, share in measured.rejected_foreign.items():
        rows.add_row(f'"none of these": {name}', f"{share:.1%}")
    return rows
