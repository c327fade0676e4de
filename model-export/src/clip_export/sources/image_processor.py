"""How Hugging Face's checkpoints prepare pictures: the image processor's file, read, never assumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

RESAMPLING = {2: "bilinear", 3: "bicubic"}
"""PIL's numbers, as `preprocessor_config.json` has them"""
STEPS = ("do_resize", "do_rescale", "do_normalize", "do_center_crop")


def read_preprocessing(name: str, size: int, defaults: dict[str, Any]) -> dict[str, Any]:
    """The manifest's size, resize, interpolation, mean and std from the image processor's file, or from `defaults`.

    `size` is what the image encoder takes. Raises ValueError for a preprocessing that the edge does not have, and for
    one that is not stated.
    """
    file, stated = image_processor(name)
    config = {**defaults, **stated}
    missing = [key for key in ("image_mean", "image_std", "resample") if key not in config]
    if missing:
        raise ValueError(f"{file}: {missing[0]} is missing")
    if config["resample"] not in RESAMPLING:
        raise ValueError(f"{file}: resample is {config['resample']}, supported are 2 and 3")
    target = config.get("size", size)
    squash = isinstance(target, dict) and "shortest_edge" not in target
    sides = set(target.values()) if isinstance(target, dict) else {target}
    if sides != {size}:
        raise ValueError(f"{file}: images are resized to {target}, but the encoder takes {size}")
    for step in STEPS[: 3 if squash else 4]:  # there is nothing to crop of a square
        if config.get(step, True) is False:
            raise ValueError(f"{file}: {step} is false, the edge does it always")
    return {
        "size": size,
        "resize": "squash" if squash else "shortest",
        "interpolation": RESAMPLING[config["resample"]],
        "mean": config["image_mean"],
        "std": config["image_std"],
    }


def image_processor(name: str) -> tuple[str, dict[str, Any]]:
    """The file that transformers reads its image processor from, and what it says; nothing if there is none."""
    for file in ("processor_config.json", "preprocessor_config.json"):
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        config = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
        if file == "processor_config.json":
            config = config.get("image_processor", {})  # where a processor of transformers 5 was saved as a whole
        if config:
            break
    return file, config
