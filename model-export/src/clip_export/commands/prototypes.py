"""What `prototypes` does."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from ..bundle import label_set_facts
from ..bundle_encoders import bundle_image_encoder
from ..label_embedding import embed_all
from ..label_set import LabelSet, check_name, check_place, write_label_set
from ..label_texts import LabelTexts
from ..manifest import read_manifest, revision
from ..photo_list import left_out_line, load_photos
from ..progress import bar
from ..prototypes import find_examples, mixed, prototypes
from .labels import LabelOptions, choose_encoder, say


@dataclass(frozen=True)
class PrototypeOptions:
    """What of a label's row is its text's."""

    text_weight: float
    templates: list[str]
    encoder: LabelOptions
    strict: bool = False


def write_prototypes(
    console: Console, bundle: Path, examples: Path, name: str, out: Path, options: PrototypeOptions
) -> None:
    """A label set of example pictures."""
    check_name(name)
    check_place(out)
    manifest, found = read_manifest(bundle), find_examples(examples)
    read, pixels = load_photos(replace(found.photos, strict=options.strict), manifest["image"], bar)
    if read.left_out:
        say(console, left_out_line(read))
    embeddings = bundle_image_encoder(bundle, manifest, bar)(pixels)
    rows, counts = prototypes(found.labels, read.labels, embeddings)
    made = LabelSet(name, manifest["id"], revision(manifest), found.labels, [], rows)
    if options.text_weight > 0:
        texts = LabelTexts(name, found.labels, options.templates)
        encoder = choose_encoder(bundle, manifest, options.encoder)
        made = replace(
            label_set_facts(manifest, texts, encoder),
            embeddings=mixed(rows, embed_all(texts, encoder).rows, options.text_weight),
        )
    more = {"examples": json.dumps(counts), "textWeight": json.dumps(options.text_weight)}
    write_label_set(replace(made, more={**made.more, **more}), out)
    fewest = f", {min(counts)} to {max(counts)} of each" if min(counts) < max(counts) else f", {min(counts)} of each"
    say(console, f"{out}: {len(found.labels):,} labels of {sum(counts):,} pictures{fewest}, for {manifest['id']}")
