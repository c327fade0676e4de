"""Labelled photos to measure with: a TSV of `file<TAB>label` lines and the folder in which the files lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .errors import ExportError
from .preprocess import pixel_values
from .progress import Track, silent


class PhotoListError(ExportError):
    """The list or one of its photos cannot be read; the message names the line or the file."""


@dataclass(frozen=True)
class PhotoList:
    """Photos and what each shows."""

    name: str
    files: list[Path]
    labels: list[str]


def read_photo_list(tsv: Path, folder: Path) -> PhotoList:
    """Reads the list; the photos themselves are read by `load_pixels`. The list is named as its file."""
    files, labels = [], []
    for number, line in enumerate(tsv.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name, tab, label = line.partition("\t")
        if not tab or not label.strip():
            raise PhotoListError(f"{tsv.name}, line {number}: expected a file, a tab and a label, got {line!r}")
        files.append(folder / name)
        labels.append(label.strip())
    if not files:
        raise PhotoListError(f"{tsv.name} lists no photos")
    return PhotoList(tsv.stem, files, labels)


def read_photo_lists(lists: Sequence[Path], folders: Sequence[Path]) -> list[PhotoList]:
    """Pairs each list with its folder."""
    if len(lists) != len(folders):
        raise PhotoListError(f"{len(lists)} --images but {len(folders)} --image-folder: give one folder to each list")
    return [read_photo_list(tsv, folder) for tsv, folder in zip(lists, folders, strict=True)]


def load_pixels(photos: PhotoList, image: dict[str, Any], track: Track = silent) -> np.ndarray:
    """[n, 3, size, size] float32, preprocessed as the manifest's `image` says."""
    settings = [image[key] for key in ("size", "resize", "interpolation", "mean", "std")]
    pixels = []
    for file in track(photos.files, f"photos of {photos.name}"):
        try:
            with Image.open(file) as photo:
                pixels.append(pixel_values(photo, *settings))
        except FileNotFoundError:
            raise
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # PIL's, of what is no whole picture
            raise PhotoListError(f"{file}: cannot be read as a picture: {error}") from error
    return np.stack(pixels)
