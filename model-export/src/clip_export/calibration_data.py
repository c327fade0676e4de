"""What an engine bundle is calibrated by: a folder of pictures, and the texts that a CLIP is asked about."""

from __future__ import annotations

from pathlib import Path

from .bundle import BundleFacts
from .calibration_texts import CALIBRATION_TEXTS
from .engine.samples import CalibrationData, image_samples, text_samples
from .errors import ExportError
from .photo_list import PhotoList, load_photos
from .progress import Track, silent
from .sources.source import Source
from .verify import ORDINARY_TEXTS

FEWEST_PICTURES = 32
"""with fewer the ranges of activations are no more than guesses"""
MOST_PROMPTS = 600


def picture_data(
    checkpoint: Source, folder: Path, track: Track = silent, strict: bool = False
) -> tuple[CalibrationData, PhotoList]:
    """Every file of the folder that is a picture, but hidden ones; and their list, which names those left out.

    Raises ExportError for too few and, if `strict`, for one that is no picture.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    check_count(folder, len(files))
    photos, pixels = load_photos(PhotoList("calibration", files, [], strict), checkpoint.preprocessing, track)
    check_count(folder, len(photos.files))
    return image_samples(pixels), photos


def check_count(folder: Path, pictures: int) -> None:
    """Raises ExportError if they are too few."""
    if pictures < FEWEST_PICTURES:
        raise ExportError(f"--calibrate {folder}: {pictures} pictures, at least {FEWEST_PICTURES} are needed")


def text_data(checkpoint: Source, facts: BundleFacts) -> CalibrationData:
    """The built-in sets' prompts, their labels alone and some ordinary texts."""
    prompts = [text for made in facts.label_sets for label in made.labels for text in made.prompts_of(label)]
    prompts = prompts[:: max(1, len(prompts) // MOST_PROMPTS)]
    labels = [label for made in facts.label_sets for label in made.labels]
    texts = dict.fromkeys([*prompts, *labels[: MOST_PROMPTS // 2], *CALIBRATION_TEXTS, *ORDINARY_TEXTS])
    tokenizer, pad_id = checkpoint.text.tokenizer, checkpoint.text.padding().get("padId")
    return text_samples(tokenizer.encode(list(texts)), tokenizer.end_of_text, pad_id)
