"""The checkpoint that a bundle is made from: facts and functions, whatever library it is of.

How a library's checkpoint becomes one is in hugging_face.py and open_clip.py. Does not train, convert or
quantise anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..engine.weights import Tensors
from ..errors import ExportError
from ..tokenizer import Tokenizer, TokenizerError

OPEN_CLIP = "open_clip:"
"""what a source's name begins with that open_clip is to load"""
OPEN_CLIP_CONFIG = "open_clip_config.json"
INTERPOLATIONS = ("bicubic", "bilinear")


class SourceError(ExportError):
    """The checkpoint cannot be turned into a bundle; the message says why."""


@dataclass(frozen=True)
class SourceEncoder:
    """One encoder of a checkpoint, in float32."""

    embed: Callable[[torch.Tensor], torch.Tensor]
    """The library's own forward pass: pixel values [n, 3, size, size], or token ids [n, length] of texts of one length,
    not padded -> [n, dim], unit rows."""
    architecture: Callable[[], dict[str, Any]]
    """What the manifest says of it (engine/architecture.py); raises ArchitectureError if the engine cannot run it."""
    tensors: Callable[[], Tensors]
    """Its weights by the engine's names (engine/weights.py), of an encoder that has an architecture."""


@dataclass(frozen=True)
class SourceText:
    """A text encoder and its tokenizer."""

    encoder: SourceEncoder
    tokenizer: Tokenizer
    padded: bool
    """whether an embedding depends on what its text is filled up with, to the context's length"""
    problem: str | None = None
    """why the edge cannot have it, whatever its tokenizer is; None: it can"""

    @property
    def context_length(self) -> int:
        """longest text in tokens, special ones included"""
        return self.tokenizer.context_length

    def padding(self) -> dict[str, int | None]:
        """The manifest's `padTo` and `padId`."""
        if self.padded:
            return {"padTo": self.context_length, "padId": self.tokenizer.pad_id}
        return {"padTo": None}

    def edge_problem(self) -> str | None:
        """Why the edge cannot have its texts, as the end of "its texts need …"; None: it can."""
        if self.padded and self.tokenizer.padding_side != "right":
            return "a tokenizer that fills them up before their start, and the edge does it after their end"
        return self.tokenizer.edge_problem() or self.problem


@dataclass(frozen=True)
class Source:
    """A checkpoint in memory: the float32 reference that every export is compared with."""

    kind: str
    name: str
    sha256: str
    """of the file of its weights"""
    preprocessing: dict[str, Any]
    """the manifest's size, resize, interpolation, mean and std"""
    embedding_dim: int
    logit_scale: float
    """already exponentiated: checkpoints store its logarithm"""
    logit_bias: float | None
    """of a model trained with the sigmoid loss; None: softmax"""
    image: SourceEncoder
    text: SourceText | None
    """None: the image encoder is exported alone"""
    model: nn.Module
    """as its library has it, which nothing but that library's own modules and the ONNX graphs know; on the CPU"""
    device: torch.device = torch.device("cpu")  # noqa: RUF009 # it cannot be changed
    """where its encoders run"""

    @property
    def image_size(self) -> int:
        """Side of the square input of the image encoder, in pixels."""
        return self.preprocessing["size"]

    def encoders(self) -> dict[str, SourceEncoder]:
        """By "image" and "text"."""
        return {"image": self.image, **({"text": self.text.encoder} if self.text else {})}

    def similarity(self) -> dict[str, Any]:
        """The manifest's `similarity`."""
        if self.logit_bias is None:
            return {"kind": "softmax", "logitScale": self.logit_scale}
        return {"kind": "sigmoid", "logitScale": self.logit_scale, "logitBias": self.logit_bias}

    def facts(self) -> dict[str, str]:
        """The manifest's `source`. The name is the folder's last part only: a path of this machine says nothing."""
        return {"kind": self.kind, "name": self.name, "sha256": self.sha256}

    def check_made(self, manifest: dict[str, Any]) -> None:
        """Raises SourceError unless the bundle of this manifest was made from this checkpoint."""
        made_from = manifest["source"]
        if self.sha256 != made_from["sha256"]:
            raise SourceError(
                f"{self.name} has weights of sha256 {self.sha256[:12]}…, and {manifest['id']} was made from "
                f"{made_from['name']}, {made_from['sha256'][:12]}…: give the checkpoint that it was made from"
            )


def load_source(
    name: str,
    display_name: str | None = None,
    *,
    checkpoint: Path | None = None,
    image_only: bool = False,
    device: torch.device | None = None,
) -> Source:
    """Loads a checkpoint.

    `name`: a folder or hub name of a Hugging Face CLIPModel or SiglipModel; a folder as open_clip writes it for the
    hub; or, after "open_clip:", such a folder, "hf-hub:owner/model", or a name of open_clip's with the tag of a
    pretrained checkpoint, "ViT-B-32/laion2b_s34b_b79k". `checkpoint`: a file of weights for a name of open_clip's,
    which are then not downloaded. `image_only`: the text encoder is left out, and its tokenizer is not looked for.
    `device`: where the encoders are to run; without one on the CPU.

    Raises SourceError if there is no such model, if weights or the tokenizer are missing, or if the edge has not the
    preprocessing that it needs. Whether the edge has the tokenizer is for `SourceText.edge_problem` to say.
    """
    loaded = _load(name, display_name, checkpoint, image_only)
    return replace(loaded, device=device) if device else loaded


def _load(name: str, display_name: str | None, checkpoint: Path | None, image_only: bool) -> Source:
    # Imported here, because both know this module; and loading open_clip takes seconds.
    folder = Path(name)
    if name.startswith(OPEN_CLIP) or ((folder / OPEN_CLIP_CONFIG).is_file() and not (folder / "config.json").is_file()):
        from .open_clip import load_open_clip

        return load_open_clip(name.removeprefix(OPEN_CLIP), display_name, checkpoint, image_only)
    if checkpoint:
        raise SourceError(f"--checkpoint is for a name of open_clip's, such as {OPEN_CLIP}ViT-B-32: {name} is none")
    from .hugging_face import load_hugging_face

    return load_hugging_face(name, display_name, image_only)


def file_sha256(path: str | Path) -> str:
    """Of a file as it lies on the disk."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def reading_tokenizer(name: str) -> Iterator[None]:
    """Errors of a checkpoint's tokenizer, with its name and what can be done without."""
    try:
        yield
    except TokenizerError as error:
        raise SourceError(f"{name}: {error}. With --image-only its image encoder is taken alone.") from error
