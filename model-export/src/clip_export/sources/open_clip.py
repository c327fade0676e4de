"""open_clip's models: loaded as open_clip does it, their preprocessing read, never assumed.

Which files are meant is in open_clip_checkpoint.py; texts are in open_clip_text.py; what of a model becomes the
engine's, in engine/open_clip.py.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from open_clip import CLIP, CustomTextCLIP, create_model
from open_clip.factory import load_state_dict
from timm.models import reparameterize_model

from ..engine import open_clip as engine_open_clip
from ..engine.open_clip import OpenClip
from .open_clip_checkpoint import PREPROCESSING, Checkpoint, find
from .open_clip_text import read_tokenizer, text_source
from .source import INTERPOLATIONS, Source, SourceEncoder, SourceError, file_sha256, reading_tokenizer

RESIZES = ("shortest", "squash")


def load_open_clip(
    name: str, display_name: str | None = None, checkpoint: Path | None = None, image_only: bool = False
) -> Source:
    """`name` as after "open_clip:"; it and all else as load_source."""
    found = find(name, checkpoint)
    with reading_tokenizer(name):
        tokenizer = None if image_only else read_tokenizer(found)
    weights = found.fetch()
    model = create(name, found, weights)
    preprocessing = read_preprocessing(name, model)
    bias = None if model.logit_bias is None else float(model.logit_bias.detach())
    if bias == 0:  # open_clip fills in a zero where the file has none
        raise SourceError(f"{name}: a model with a logit_bias, but its weights have none")
    image = SourceEncoder(
        partial(model.encode_image, normalize=True),
        partial(engine_open_clip.image_architecture, model),
        partial(engine_open_clip.image_tensors, model),
    )
    return Source(
        kind="open_clip",
        name=display_name or found.called,
        sha256=file_sha256(weights),
        preprocessing=preprocessing,
        embedding_dim=found.config["embed_dim"],
        logit_scale=float(model.logit_scale.detach().exp()),
        logit_bias=bias,
        image=image,
        text=text_source(model, tokenizer) if tokenizer else None,
        model=model,
    )


def create(name: str, found: Checkpoint, weights: Path) -> OpenClip:
    """The model with its weights, in float32; branches that are for training only (MobileCLIP's) are merged, which
    timm offers. Raises SourceError."""
    options = {}
    if found.settings is not None:
        options = {
            "pretrained": str(weights.resolve()),  # a bare file name could be a tag
            "force_quick_gelu": found.settings.get("quick_gelu", False),  # open_clip itself only warns
            "force_preprocess_cfg": {key: found.settings[key] for key in PREPROCESSING},
        }
    try:
        model = create_model(found.model_name, require_pretrained=True, **options)
    except Exception as error:  # of a file or a configuration that is not as open_clip expects it, anything may come
        what = textwrap.shorten(f"{type(error).__name__}: {error}", 400, placeholder=" …")
        raise SourceError(f"{name}: open_clip cannot load it: {what}") from error
    if not isinstance(model, CLIP | CustomTextCLIP):
        raise SourceError(f"{name}: open_clip's {type(model).__name__} is not supported, CLIP and CustomTextCLIP are")
    check_positions(name, model, weights)
    return reparameterize_model(model.eval(), inplace=True)


def check_positions(name: str, model: OpenClip, weights: Path) -> None:
    """Raises SourceError where open_clip has stretched the positions of the weights, since the model has others."""
    if weights.suffix in (".npz", ".npy"):  # big_vision's
        return
    stored = load_state_dict(str(weights))
    text = model if isinstance(model, CLIP) else model.text
    for encoder, module, keys in (
        ("image", model.visual, ("visual.positional_embedding",)),
        ("text", text, ("positional_embedding", "text.positional_embedding")),
    ):
        made = getattr(module, "positional_embedding", None)
        for found in (stored[key] for key in keys if key in stored and made is not None):
            if len(found) != len(made):
                raise SourceError(
                    f"{name}: the weights have {len(found)} positions of the {encoder} encoder, "
                    f"the model has {len(made)}: they are of another one"
                )


def read_preprocessing(name: str, model: OpenClip) -> dict[str, Any]:
    """The manifest's size, resize, interpolation, mean and std, of the checkpoint's `preprocess_cfg`.

    Raises SourceError for a preprocessing that the edge does not have.
    """
    stated = model.visual.preprocess_cfg
    (size, other), (height, width) = (_pair(value) for value in (stated["size"], model.visual.image_size))
    if not size == other == height == width:
        raise SourceError(
            f"{name}: images are resized to {size} x {other}, but the encoder takes {height} x {width}; "
            "both must be the same square"
        )
    # "random" is of training: open_clip itself takes the bicubic filter then
    interpolation = "bicubic" if stated["interpolation"] == "random" else stated["interpolation"]
    for key, value, known in (
        ("interpolation", interpolation, INTERPOLATIONS),
        ("resize_mode", stated["resize_mode"], RESIZES),
    ):
        if value not in known:
            raise SourceError(f"{name}: preprocess_cfg: {key} is {value!r}, the edge has {' and '.join(known)}")
    mean, std = (_three(name, key, stated[key]) for key in ("mean", "std"))
    return {"size": size, "resize": stated["resize_mode"], "interpolation": interpolation, "mean": mean, "std": std}


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


def _three(name: str, key: str, values: Any) -> list[float]:
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise SourceError(f"{name}: preprocess_cfg: {key} is {values}, expected 3 numbers")
    return list(values)
