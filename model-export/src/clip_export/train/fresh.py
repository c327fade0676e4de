"""A checkpoint with random weights from a configuration: training from scratch is fine-tuning of that."""

from __future__ import annotations

import copy
import json
import textwrap
from pathlib import Path
from typing import Any

import torch

from .errors import TrainError

OPEN_CLIP_MEAN, OPEN_CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""OpenAI's, which open_clip takes where a configuration states none"""


def write_fresh_checkpoint(config: str, folder: Path, seed: int) -> None:
    """Writes a checkpoint as its library does.

    `config`: a JSON file, a `CLIPConfig` of Hugging Face or a model's of open_clip (the latter also as its
    `open_clip_config.json`, with `preprocess_cfg`), or the name of a model of open_clip's. Raises TrainError.
    """
    torch.manual_seed(seed)
    stated = read_config(config)
    try:
        if "vision_config" in stated:
            _write_hugging_face(stated, folder)
        elif "vision_cfg" in stated.get("model_cfg", stated):
            _write_open_clip(stated.get("model_cfg", stated), stated.get("preprocess_cfg", {}), folder)
        else:
            raise TrainError(
                f"--config {config}: it has neither vision_config (transformers) nor vision_cfg (open_clip)"
            )
    except (KeyError, TypeError, ValueError, AssertionError, RuntimeError) as error:  # the libraries', of such numbers
        what = textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")
        raise TrainError(f"--config {config}: no model can be made of it: {what}") from error


def read_config(config: str) -> dict[str, Any]:
    """The JSON of a file, or of the model that open_clip has by this name."""
    file = Path(config)
    if file.suffix == ".json" or file.exists():
        try:
            stated = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, IsADirectoryError) as error:
            raise TrainError(f"--config {config}: no JSON: {error}") from error
        if not isinstance(stated, dict):
            raise TrainError(f"--config {config}: no JSON object")
        return stated
    from open_clip import get_model_config

    stated = get_model_config(config)
    if stated is None:
        raise TrainError(f"--config {config}: there is no such file, and open_clip has no model of this name")
    return stated


def _write_hugging_face(config: dict[str, Any], folder: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    if config.get("model_type", "clip") != "clip":
        raise TrainError(f"--config: model_type is {config['model_type']!r}, from scratch only clip is trained")
    CLIPModel(CLIPConfig.from_dict(config)).save_pretrained(folder)


def _write_open_clip(config: dict[str, Any], preprocessing: dict[str, Any], folder: Path) -> None:
    from open_clip import CLIP, CustomTextCLIP, set_model_preprocess_cfg

    from .trained_model import write_open_clip

    options = copy.deepcopy(config)
    make = CustomTextCLIP if options.pop("custom_text", False) else CLIP
    model = make(**options)
    set_model_preprocess_cfg(model, {"mean": OPEN_CLIP_MEAN, "std": OPEN_CLIP_STD, **preprocessing})
    folder.mkdir(parents=True, exist_ok=True)
    write_open_clip(model, config, folder)
