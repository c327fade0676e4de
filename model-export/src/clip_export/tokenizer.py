"""What a text encoder's tokenizer is to the rest of the package. CLIP's is in clip_tokenizer.py, all others, by
transformers and open_clip, in hf_tokenizer.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from .errors import ExportError


class TokenizerError(ExportError):
    """A checkpoint's tokenizer cannot be read, or the edge cannot have it; the message says why."""


def pad(tokenizer: Tokenizer, ids: torch.Tensor) -> torch.Tensor:
    """[n, length] -> [n, context_length]"""
    missing = tokenizer.context_length - ids.shape[1]
    sides = (missing, 0) if tokenizer.padding_side == "left" else (0, missing)
    return nn.functional.pad(ids, sides, value=tokenizer.pad_id)


class Tokenizer(Protocol):
    """Texts to token ids, as a checkpoint's own library has it."""

    @property
    def context_length(self) -> int:
        """Longest text in tokens, special ones included: a longer one is cut, and keeps the special ones."""
        ...

    @property
    def pad_id(self) -> int:
        """What shorter texts are filled up with, where the encoder sees it."""
        ...

    @property
    def padding_side(self) -> str:
        """Where: "right" or "left"."""
        ...

    @property
    def end_of_text(self) -> int | None:
        """The id that every text ends with, and is pooled at where the encoder does that; None: there is none."""
        ...

    @property
    def heap_bytes(self) -> int:
        """What it takes of an isolate's memory beside the encoder, about; CLIP's 1 MiB is not counted. For one that the
        edge can have."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special ones included, at its own length, at most `context_length`."""
        ...

    def is_truncated(self, text: str) -> bool:
        """Whether `encode` drops the end of this text."""
        ...

    def edge_problem(self) -> str | None:
        """Why the edge cannot have it, as the end of "its texts need …"; None: it can."""
        ...

    def write(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        """Writes what the edge needs into `folder`. The manifest's `tokenizer` without `files`, and the files in order.

        Raises TokenizerError where there is an `edge_problem`.
        """
        ...
