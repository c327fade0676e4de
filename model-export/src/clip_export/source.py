"""Loads the checkpoint that a bundle is made from. Does not train, convert or download anything itself."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPModel
from transformers.utils import cached_file

from .errors import ExportError

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
"""PIL's numbers, as `preprocessor_config.json` has them"""
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


class SourceError(ExportError):
    """The checkpoint cannot be turned into a bundle; the message says why."""


@dataclass(frozen=True)
class Source:
    """A checkpoint in memory: the float32 reference that every export is compared with."""

    model: CLIPModel
    kind: str
    name: str
    sha256: str
    preprocessing: dict[str, Any]
    """the manifest's size, resize, interpolation, mean and std"""

    @property
    def image_size(self) -> int:
        """Side of the square input of the image encoder, in pixels."""
        return self.model.config.vision_config.image_size

    @property
    def context_length(self) -> int:
        """Longest prompt in tokens, start and end tokens included."""
        return self.model.config.text_config.max_position_embeddings

    @property
    def embedding_dim(self) -> int:
        return self.model.config.projection_dim

    @property
    def logit_scale(self) -> float:
        """Already exponentiated: the checkpoint stores its logarithm."""
        return float(self.model.logit_scale.detach().exp())

    def facts(self) -> dict[str, str]:
        """The manifest's `source`. The name is the folder's last part only: a path of this machine says nothing."""
        return {"kind": self.kind, "name": self.name, "sha256": self.sha256}


def load_source(name: str, display_name: str | None = None) -> Source:
    """Loads a Hugging Face `CLIPModel` from a folder, or by its name on the hub.

    Attention is computed in its plain ("eager") form, which is the one that the ONNX exporter can follow.
    Raises SourceError if there is no such model, or if it is no CLIP with CLIP's vocabulary.
    """
    folder = Path(name)
    if not folder.is_dir() and not HUB_NAME.fullmatch(name):  # the hub would be asked for half a minute
        raise SourceError(f"there is no folder {name}, and a hub name has the form owner/model")
    try:
        model, loaded = CLIPModel.from_pretrained(
            name, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
        )
        sha256 = weights_sha256(name)
        preprocessing = read_preprocessing(name, model.config.vision_config.image_size)
    except (OSError, ValueError) as error:
        raise SourceError(f"{name} is neither a folder nor a hub name of a CLIPModel: {error}") from error
    if loaded["missing_keys"]:  # transformers would fill them with random numbers and go on
        raise SourceError(f"{name} lacks weights of a CLIPModel: {', '.join(sorted(loaded['missing_keys'])[:3])} …")
    vocabulary = model.config.text_config.vocab_size
    if vocabulary != 49408:
        raise SourceError(f"{name} has a vocabulary of {vocabulary} tokens; only CLIP's own of 49408 is supported.")
    called = display_name or (folder.resolve().name if folder.is_dir() else name)
    return Source(model.eval(), "huggingface", called, sha256, preprocessing)


def read_preprocessing(name: str, size: int) -> dict[str, Any]:
    """Size, resize, interpolation, mean and std from `preprocessor_config.json`; CLIP's own where there is none.

    `size` is what the image encoder takes. Raises ValueError for a preprocessing that the edge does not have.
    """
    path = cached_file(name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
    config = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    resample = config.get("resample", 3)
    if resample not in INTERPOLATIONS:
        raise ValueError(f"preprocessor_config.json: resample is {resample}, supported are 2 and 3")
    target = config.get("size", size)
    squash = isinstance(target, dict) and "shortest_edge" not in target
    sides = set(target.values()) if isinstance(target, dict) else {target}
    if sides != {size}:
        raise ValueError(f"preprocessor_config.json: images are resized to {target}, but the encoder takes {size}")
    return {
        "size": size,
        "resize": "squash" if squash else "shortest",
        "interpolation": INTERPOLATIONS[resample],
        "mean": config.get("image_mean", CLIP_MEAN),
        "std": config.get("image_std", CLIP_STD),
    }


def weights_sha256(name: str) -> str:
    """sha256 of the weight file as it lies on the disk (of the index, where the weights are in several files)."""
    for file in WEIGHT_FILES:
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        if path:
            with open(path, "rb") as weights:
                return hashlib.file_digest(weights, "sha256").hexdigest()
    raise OSError(f"none of {', '.join(WEIGHT_FILES)} found")
