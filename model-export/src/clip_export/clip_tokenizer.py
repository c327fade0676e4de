"""CLIP's byte-pair encoding, by the reference implementation, and the artifact from which the edge rebuilds it.

The reference is open_clip's SimpleTokenizer, a copy of OpenAI's: ftfy.fix_text, html.unescape twice, strip, whitespace
collapsed, lower case. One thing is put back to OpenAI's original: the two special tokens are spelt `<|startoftext|>`
and `<|endoftext|>` (open_clip says `<start_of_text>`), as in OpenAI's and Hugging Face's vocabulary.
Does not pad: models differ in that, and the edge encodes every prompt at its own length.
"""

from __future__ import annotations

import html.entities
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

START_OF_TEXT = "<|startoftext|>"
END_OF_TEXT = "<|endoftext|>"
BYTES = 512
"""ids 0..255: the bytes in CLIP's order; 256..511: the same bytes at the end of a word"""
MERGES = 48_894
VOCABULARY = BYTES + MERGES + 2
"""the last two: start of text, end of text"""
LOWER, CLEANINGS = "lower", ("lower", "canonicalize")
"""CLIP's own cleaning, and those that leave no capitals: the edge's tokenizer knows none"""
START_ID, END_ID = VOCABULARY - 2, VOCABULARY - 1


@dataclass(frozen=True)
class ClipTokenizer:
    """A `Tokenizer`."""

    context_length: int
    vocabulary_size: int = VOCABULARY
    """rows of the text encoder's token table; there may be some that no text has"""
    pad_id: int = 0
    """open_clip's"""
    end_of_text: int = END_ID
    padding_side: str = "right"
    heap_bytes: int = 0
    clean: str = LOWER
    """open_clip's name of what is done to a text first"""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The start token first, the end token last."""
        return [encode(text, self.context_length, self.clean) for text in texts]

    def is_truncated(self, text: str) -> bool:
        return is_truncated(text, self.context_length, self.clean)

    def edge_problem(self) -> None:
        return None

    def write(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        """Of kind "clip-bpe": the merges, then the table of HTML entities."""
        ids = {"startOfText": START_ID, "endOfText": END_ID}
        cleaning = {} if self.clean == LOWER else {"clean": self.clean}
        return {"kind": "clip-bpe", **ids, "vocabularySize": self.vocabulary_size, **cleaning}, write_artifact(folder)


@lru_cache(maxsize=1)
def open_clip_tokenizers() -> ModuleType:
    """open_clip's tokenizers, from their one file: importing the whole package takes 8 seconds more."""
    package = importlib.util.find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the reference tokenizer needs the package open_clip_torch")
    file = Path(package.submodule_search_locations[0]) / "tokenizer.py"
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def open_clip_tokenizer() -> SimpleTokenizer:
    """open_clip's tokenizer as it is."""
    return open_clip_tokenizers().SimpleTokenizer()


@lru_cache
def reference_tokenizer(clean: str = LOWER) -> SimpleTokenizer:
    """open_clip's tokenizer with OpenAI's spelling of the special tokens; takes a second, so it is made once."""
    tokenizer = open_clip_tokenizers().SimpleTokenizer(clean=clean)
    spelling = {"<start_of_text>": START_OF_TEXT, "<end_of_text>": END_OF_TEXT}
    pattern = tokenizer.pat.pattern
    for theirs, ours in spelling.items():
        tokenizer.encoder[ours] = tokenizer.encoder.pop(theirs)
        tokenizer.cache[ours] = ours
        pattern = pattern.replace(theirs, regex.escape(ours))
    tokenizer.decoder = {token: text for text, token in tokenizer.encoder.items()}
    tokenizer.pat = regex.compile(pattern, regex.IGNORECASE)
    return tokenizer


def is_clips(vocabulary: dict[str, int]) -> bool:
    """Whether these tokens have CLIP's ids; more than CLIP's may be there."""
    return all(vocabulary.get(token) == id for token, id in reference_tokenizer().encoder.items())


def encode(text: str, context_length: int, clean: str = LOWER) -> list[int]:
    """Token ids of one text, start token first, end token last, at its own length (2 <= length <= context_length).

    A longer text is cut and keeps the end token as its last id, as in open_clip.
    """
    tokenizer = reference_tokenizer(clean)
    words = tokenizer.encode(text)[: context_length - 2]
    return [tokenizer.sot_token_id, *words, tokenizer.eot_token_id]


def is_truncated(text: str, context_length: int, clean: str = LOWER) -> bool:
    """Whether `encode` drops the end of this text."""
    return len(reference_tokenizer(clean).encode(text)) > context_length - 2


def merge_pairs() -> np.ndarray:
    """[48894, 2] token ids of the two halves of each merge, in rank order; merge r makes the token 512 + r."""
    tokenizer = reference_tokenizer()
    ranked = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    pairs = np.array([[tokenizer.encoder[first], tokenizer.encoder[second]] for first, second in ranked], dtype="<u2")
    merged = [tokenizer.encoder[first + second] for first, second in ranked]
    # the edge computes a merge's id from its rank, so the vocabulary must not deviate from that rule anywhere
    if merged != list(range(BYTES, BYTES + MERGES)):
        raise ValueError("the vocabulary's ids do not follow the rank of the merges")
    return pairs


def write_artifact(folder: Path) -> list[Path]:
    """Writes what the edge's tokenizer needs: `merges.bin` (little-endian uint16 pairs, 196 kB) and
    `html-entities.json` (HTML5's named references as Python knows them, name with its semicolon if any -> text)."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = folder / "merges.bin"
    merges.write_bytes(merge_pairs().tobytes())
    return [merges, write_html_entities(folder)]


def write_html_entities(folder: Path) -> Path:
    entities = folder / "html-entities.json"
    entities.write_text(
        json.dumps(html.entities.html5, sort_keys=True, separators=(",", ":"), ensure_ascii=False), encoding="utf-8"
    )
    return entities
