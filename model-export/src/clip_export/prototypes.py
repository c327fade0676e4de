"""Labels shown instead of said: the mean of example pictures' embeddings, alone or mixed with the label's text.

A label's row is the unit mean of its examples' unit embeddings (Snell, Swersky and Zemel, "Prototypical Networks for
Few-shot Learning", 2017). With a text weight w it is the unit vector of (1 - w) * that + w * the text's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .label_texts import LabelSetError
from .photo_list import PhotoList


@dataclass(frozen=True)
class Examples:
    """Pictures by label, labels in the order of their names."""

    labels: list[str]
    photos: PhotoList
    """of all labels"""


def find_examples(folder: Path) -> Examples:
    """A folder for each label, named as it, and the pictures in it. Hidden files and folders do not count.

    Raises LabelSetError if there is no such folder, for a folder without pictures, and for pictures beside the folders.
    """
    folders = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if loose := [path.name for path in folders if not path.is_dir()]:
        raise LabelSetError(
            f"{folder}: {', '.join(loose[:5])} in no label's folder; each label is a folder of pictures"
        )
    if not folders:
        raise LabelSetError(f"{folder} has no folders; each label is a folder of pictures")
    files, labels = [], []
    for label in folders:
        pictures = sorted(path for path in label.iterdir() if path.is_file() and not path.name.startswith("."))
        if not pictures:
            raise LabelSetError(f"{label} has no pictures")
        files += pictures
        labels += [label.name.strip()] * len(pictures)
    return Examples([path.name.strip() for path in folders], PhotoList("examples", files, labels))


def prototypes(labels: list[str], truth: list[str], embeddings: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Embeddings [n, dim] of pictures and the label of each -> rows [labels, dim], unit length, and how many pictures
    made each. Raises LabelSetError for labels of which no picture is left."""
    counts = [truth.count(label) for label in labels]
    if none := [label for label, count in zip(labels, counts, strict=True) if not count]:
        raise LabelSetError(f"no picture can be read of {', '.join(none[:5])}")
    rows = np.array(truth)
    means = [embeddings[rows == label].astype(np.float64).mean(axis=0) for label in labels]
    return unit(np.stack(means)), counts


def mixed(images: np.ndarray, texts: np.ndarray, text_weight: float) -> np.ndarray:
    """Both [labels, dim], unit rows -> the same; `text_weight` from 0 (images alone) to 1."""
    return unit((1 - text_weight) * images.astype(np.float64) + text_weight * texts)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
