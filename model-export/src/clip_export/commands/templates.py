"""What `compare-templates` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..accuracy import zero_shot_accuracy
from ..encoders import float_image_encoder, float_text_encoder
from ..label_file import read_labels, read_templates
from ..label_set import embed_texts
from ..label_texts import LabelTexts
from ..photo_list import PhotoList, left_out_line, load_photos
from ..progress import bar
from ..report import template_table
from ..sources.source import Source


def print_templates(
    console: Console, checkpoint: Source, labels: Path, templates: Sequence[Path], photos: PhotoList
) -> None:
    """Zero-shot accuracy of each template file, in float."""
    names, _ = read_labels(labels)
    photos, pixels = load_photos(photos, checkpoint.preprocessing, bar)
    if photos.left_out:
        console.print(left_out_line(photos), markup=False, highlight=False, soft_wrap=True)
    embeddings = float_image_encoder(checkpoint, bar)(pixels)
    encode_texts = float_text_encoder(checkpoint, bar)
    results = {}
    for file in templates:
        lines = read_templates(file)
        texts = embed_texts(LabelTexts("", names, lines), encode_texts)
        scale, bias = checkpoint.logit_scale, checkpoint.logit_bias
        accuracy = zero_shot_accuracy(embeddings, texts, scale, names, photos.labels, bias)
        results[file.stem] = (len(lines), accuracy)
    console.print(template_table(results))
