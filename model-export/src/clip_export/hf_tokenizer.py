"""Tokenizers of transformers, as a checkpoint's library asks them, and whatever else open_clip has."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, SiglipTokenizer

from .charsmap import GRAPHEMES, LONGEST
from .edge_tokenizer import (
    MODELS,
    NONE,
    SIGLIP,
    EdgeTokenizer,
    cleaning,
    json_of,
    kind_of,
    special_tokens,
    take_charsmap,
)
from .hard_texts import curated, nonsense, prompts
from .tokenizer import TokenizerError


@dataclass(frozen=True)
class HfTokenizer:
    """A `Tokenizer` of transformers'."""

    library: PreTrainedTokenizerBase
    context_length: int
    vocabulary_size: int
    """rows of the text encoder's token table"""
    clean: str = NONE
    """what is done to a text before, as edge_tokenizer.py names it"""
    zeroed: int | None = None
    """an id that becomes 0 (open_clip's `strip_sep_token`)"""

    @property
    def pad_id(self) -> int:
        return self.library.pad_token_id

    @property
    def padding_side(self) -> str:
        return self.library.padding_side

    @property
    def end_of_text(self) -> int | None:
        suffix = special_tokens(self.library)[1]
        return self.zero(suffix)[-1] if suffix else None

    def zero(self, ids: Sequence[int]) -> list[int]:
        return [0 if id == self.zeroed else id for id in ids]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        cleaned = [cleaning(self.clean)(text) for text in texts]
        return [
            self.zero(ids) for ids in self.library(cleaned, max_length=self.context_length, truncation=True).input_ids
        ]

    def is_truncated(self, text: str) -> bool:
        return len(self.library(cleaning(self.clean)(text), verbose=False).input_ids) > self.context_length

    def edge_problem(self) -> str | None:
        try:
            _ = self.at_edge
        except TokenizerError as error:
            return str(error)
        return None

    @property
    def heap_bytes(self) -> int:
        return self.at_edge.heap_bytes

    def write(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        return self.at_edge.write(folder)

    @cached_property
    def at_edge(self) -> EdgeTokenizer:
        """Raises TokenizerError, as `edge_problem` says it."""
        name = type(self.library).__name__
        if not self.library.is_fast and not isinstance(self.library, SiglipTokenizer):
            raise TokenizerError(f"the tokenizer {name}, which has no tokenizer.json")
        stated = json_of(self.library)
        if kind_of(stated) not in MODELS:
            known = f"CLIP's byte-pair encoding and, by a tokenizer.json, {' and '.join(MODELS)}"
            raise TokenizerError(f"the tokenizer {name}, a {kind_of(stated)}, and the edge has {known}")
        if self.zeroed is not None:
            raise TokenizerError(f"the tokenizer {name} with strip_sep_token, which the edge does not have")
        clean = self.clean
        if isinstance(self.library, SiglipTokenizer):
            if clean != NONE:
                raise TokenizerError(
                    f"the tokenizer {name} behind the cleaning {clean!r}, and the edge has one cleaning"
                )
            clean = SIGLIP
        stated, charsmap = take_charsmap(stated)
        match = LONGEST if isinstance(self.library, SiglipTokenizer) else GRAPHEMES
        made = EdgeTokenizer(
            json.dumps(stated, ensure_ascii=False, separators=(",", ":")),
            charsmap,
            match if charsmap else None,
            clean,
            *special_tokens(self.library),
            self.context_length,
            self.vocabulary_size,
            self.pad_id,
        )
        check_same(self, made)
        return made


def check_same(library: HfTokenizer, made: EdgeTokenizer) -> None:
    """Raises TokenizerError where what the edge is given has other ids than the library."""
    texts = [*curated(), *prompts(), *nonsense()]
    differing = [
        text for text, ids, own in zip(texts, library.encode(texts), made.encode(texts), strict=True) if ids != own
    ]
    if differing:
        raise TokenizerError(
            f"the tokenizer {type(library.library).__name__}, of which no tokenizer.json with the same tokens could be "
            f"made: {len(differing)} of {len(texts)} texts differ, such as {differing[0][:80]!r}"
        )


@dataclass(frozen=True)
class PaddedTokenizer:
    """A `Tokenizer` that the edge does not have, as open_clip calls it: its texts are filled up already."""

    library: Callable[[Sequence[str]], torch.Tensor]
    """texts -> ids [n, context_length]"""
    context_length: int
    what: str
    """for errors, after "a tokenizer with" """
    pad_id: int = 0
    end_of_text: None = None
    padding_side: str = "right"
    heap_bytes: int = 0

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """At the context's length, all of them."""
        return self.library(list(texts)).tolist() if texts else []

    def is_truncated(self, text: str) -> bool:
        raise TokenizerError(f"a tokenizer with {self.what} does not say what it drops")

    def edge_problem(self) -> str:
        return f"a tokenizer with {self.what}, which the edge does not have"

    def write(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        raise TokenizerError(f"its texts need {self.edge_problem()}")
