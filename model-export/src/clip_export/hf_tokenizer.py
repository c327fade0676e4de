"""Tokenizers of transformers, as a checkpoint's library asks them, and whatever else open_clip has."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import cached_file

from .tokenizer import TokenizerError

FILES = (
    "tokenizer.json",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
)
"""what transformers reads a vocabulary from; without any of them some of its classes make up an empty one"""


@dataclass(frozen=True)
class HfTokenizer:
    """A `Tokenizer` of transformers'."""

    library: PreTrainedTokenizerBase
    context_length: int
    vocabulary_size: int
    """rows of the text encoder's token table"""
    clean: Callable[[str], str] = lambda text: text
    """what the checkpoint's library does to a text before"""
    zeroed: int | None = None
    """an id that becomes 0 (open_clip's `strip_sep_token`)"""

    @property
    def pad_id(self) -> int:
        return self.library.pad_token_id

    @property
    def end_of_text(self) -> int | None:
        """The last of the special tokens around a text, if one follows it."""
        text, marked = (self.library("a", add_special_tokens=special).input_ids for special in (False, True))
        last = marked[-1]
        return None if marked[-len(text) :] == text else 0 if last == self.zeroed else last

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        cleaned = [self.clean(text) for text in texts]
        ids = self.library(cleaned, max_length=self.context_length, truncation=True).input_ids
        return [[0 if id == self.zeroed else id for id in row] for row in ids]

    def is_truncated(self, text: str) -> bool:
        return len(self.library(self.clean(text), verbose=False).input_ids) > self.context_length

    def edge_problem(self) -> str | None:
        return f"the tokenizer {type(self.library).__name__}, and the edge has CLIP's byte-pair encoding"

    def write(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        raise TokenizerError(f"its texts need {self.edge_problem()}")


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

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """At the context's length, all of them."""
        return self.library(list(texts)).tolist() if texts else []

    def is_truncated(self, text: str) -> bool:
        raise TokenizerError(f"a tokenizer with {self.what} does not say what it drops")

    def edge_problem(self) -> str:
        return f"a tokenizer with {self.what}, which the edge does not have"

    def write(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        raise TokenizerError(f"its texts need {self.edge_problem()}")


def load_library(name: str) -> PreTrainedTokenizerBase:
    """As AutoTokenizer reads it, of a folder or by its name on the hub. Raises TokenizerError."""
    with having_files(name):
        return AutoTokenizer.from_pretrained(name)


@contextmanager
def having_files(name: str | None) -> Iterator[None]:
    """For loading a tokenizer of transformers', of a folder or by its name on the hub; None: of neither.

    Raises TokenizerError for whatever goes wrong, and where there is no file of a vocabulary.
    """
    in_folder = name is not None and Path(name).is_dir()
    if in_folder:
        check_files(name)
    try:
        yield
    except Exception as error:  # of somebody's files anything may come
        what = textwrap.shorten(f"{type(error).__name__}: {error}", 400, placeholder=" …")
        raise TokenizerError(f"the tokenizer {name} cannot be loaded: {what}") from error
    if name is not None and not in_folder:
        check_files(name)  # the files that the hub has are at hand now


def check_files(name: str) -> None:
    if not any(cached_file(name, file, _raise_exceptions_for_missing_entries=False) for file in FILES):
        raise TokenizerError(f"there is no tokenizer in {name}: none of {', '.join(FILES)}")


def vocabulary_of(name: str) -> dict[str, int] | None:
    """Tokens and their ids, where a checkpoint states them in JSON; None: it does not."""
    for file, read in (
        ("tokenizer.json", lambda stated: stated["model"]["vocab"]),
        ("vocab.json", lambda stated: stated),
    ):
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        if path:
            try:
                return dict(read(json.loads(Path(path).read_text(encoding="utf-8"))))
            except (ValueError, KeyError, TypeError) as error:
                raise TokenizerError(f"{path} is no tokenizer: {type(error).__name__}: {error}") from error
    return None


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """`rows`: of the text encoder's token table. Raises TokenizerError if a token has none."""
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise TokenizerError(
            f"its tokenizer has ids up to {highest}, the text encoder's token table has {rows} rows: "
            "they are of different checkpoints"
        )
