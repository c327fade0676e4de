"""Which checkpoint of open_clip's is meant: one in a folder, on the hub, or of a model that open_clip knows by name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from open_clip import (
    download_pretrained,
    get_model_config,
    get_pretrained_cfg,
    list_models,
    list_pretrained_tags_by_model,
)
from open_clip.factory import _find_checkpoint_in_dir  # its own choice among a folder's files
from open_clip.pretrained import download_pretrained_from_hf

from .source import OPEN_CLIP_CONFIG, SourceError

HUB, FOLDER = "hf-hub:", "local-dir:"
"""open_clip's own prefixes"""
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
"""of a published checkpoint's settings"""
READ_KEYS = {"model_cfg": ("embed_dim", "vision_cfg", "text_cfg"), "preprocess_cfg": ("mean", "std")}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of open_clip's, before its weights are downloaded or read."""

    called: str
    """for people"""
    config: dict[str, Any]
    """`model_cfg`"""
    fetch: Callable[[], Path]
    """The file of its weights; raises SourceError."""
    model_name: str
    """open_clip's"""
    settings: dict[str, Any] | None = None
    """how pictures are prepared, and whether QuickGELU is taken; None: open_clip reads it where the weights are"""


def find(name: str, weights: Path | None) -> Checkpoint:
    """A checkpoint in a folder, on the hub, or of a model that open_clip knows by name. Raises SourceError."""
    folder, on_hub = Path(name), name.startswith(HUB)
    in_folder = (folder / OPEN_CLIP_CONFIG).is_file()
    if weights and (on_hub or in_folder):
        raise SourceError(f"--checkpoint is for a name of open_clip's: {name} has weights of its own")
    if in_folder:
        config = read_config(folder / OPEN_CLIP_CONFIG)
        return Checkpoint(folder.resolve().name, config, partial(weights_in, folder), f"{FOLDER}{folder}")
    if on_hub:
        model = name.removeprefix(HUB)
        config = read_config(download(name, download_pretrained_from_hf, model, OPEN_CLIP_CONFIG))
        return Checkpoint(model, config, partial(download, name, download_pretrained_from_hf, model), name)
    return find_published(name, weights)


def find_published(name: str, weights: Path | None) -> Checkpoint:
    """A name of open_clip's with a tag, a file of weights, or both: what the file does not say is then the tag's."""
    model, _, tag = name.partition("/")
    if model not in list_models():
        near = difflib.get_close_matches(model, list_models(), 5, 0.4)
        known = f"; it has {', '.join(near)}" if near else ""
        raise SourceError(f"open_clip has no model {model!r}, and there is no {OPEN_CLIP_CONFIG} in {name}{known}")
    tags = list_pretrained_tags_by_model(model)
    if tag and not get_pretrained_cfg(model, tag):
        raise SourceError(f"open_clip has no checkpoint {tag!r} of {model}; the tags are {', '.join(tags)}")
    if not tag and weights is None:
        raise SourceError(f"{model} needs a tag, {model}/TAG, or a --checkpoint; the tags are {', '.join(tags)}")
    settings = get_pretrained_cfg(model, tag) if tag else shared_settings(model, tags)
    called = f"{name}, {weights.name}" if weights else name
    fetch = (lambda: weights) if weights else partial(download, name, download_pretrained, settings)
    return Checkpoint(called, get_model_config(model), fetch, model, settings)


def shared_settings(model: str, tags: Sequence[str]) -> dict[str, Any]:
    """How pictures are prepared for every published checkpoint of a model: a file of weights does not say it."""
    settings = [{key: get_pretrained_cfg(model, tag)[key] for key in PREPROCESSING} for tag in tags]
    if settings and all(each == settings[0] for each in settings):
        return settings[0]
    if tags:
        raise SourceError(
            f"{model}: pictures are prepared in several ways for its checkpoints {', '.join(tags)}. "
            f"Say which is like this one, {model}/TAG"
        )
    raise SourceError(
        f"{model}: open_clip does not say how pictures are prepared for it. "
        f"Write it into an {OPEN_CLIP_CONFIG} beside the weights, and give that folder"
    )


def weights_in(folder: Path) -> Path:
    """The one of a folder's files that open_clip takes."""
    weights = _find_checkpoint_in_dir(folder)
    if weights is None:
        raise SourceError(f"{folder}: there is no file of weights beside {OPEN_CLIP_CONFIG}")
    return Path(weights)


def download(name: str, fetch: Callable[..., str], *arguments: Any) -> Path:
    """What `fetch` downloads or has downloaded before."""
    try:
        return Path(fetch(*arguments))
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"{name}: cannot be downloaded: {error}") from error


def read_config(path: Path) -> dict[str, Any]:
    """`model_cfg` of a folder or of the hub. Raises SourceError where open_clip would fill in defaults."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SourceError(f"{path}: {error}") from error
    for part, keys in READ_KEYS.items():
        stated = config.get(part) if isinstance(config, dict) else None
        missing = [key for key in keys if not isinstance(stated, dict) or stated.get(key) is None]
        if missing:
            raise SourceError(f"{path}: {part}.{missing[0]} is missing")
    return config["model_cfg"]
