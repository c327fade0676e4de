"""A tokenizer of transformers' as a bundle has it, kind "hf-tokenizer", and as the edge asks it.

A text is cleaned, its characters are replaced by SentencePiece's table if there is one, a `tokenizer.json` cuts it
into tokens, and the special tokens are put around it: no template is followed at the edge. Of a `tokenizer.json` the
normalizer, the pre-tokenizer, the model and the added tokens are kept. The table is taken out of the normalizer,
because the edge's library has an approximation of its own instead.
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tokenizers import Tokenizer as JsonTokenizer
from transformers import PreTrainedTokenizerBase, SiglipTokenizer
from transformers.convert_slow_tokenizer import SpmConverter

from .charsmap import Charsmap
from .clip_tokenizer import open_clip_tokenizers, write_html_entities
from .tokenizer import TokenizerError

NONE, SIGLIP = "none", "siglip"
OPEN_CLIP = ("whitespace", "lower", "canonicalize")
"""open_clip's names of its cleanings"""
MODELS = ("Unigram", "BPE with byte_fallback")
HEAP_BYTES = {"Unigram": 30, "BPE": 10}
"""of a byte of `tokenizer.json`, as the Worker counts it (src/runtime/load-tokenizer.ts)"""
KEPT = ("version", "added_tokens", "normalizer", "pre_tokenizer", "model")


@dataclass(frozen=True)
class EdgeTokenizer:
    """A `Tokenizer`."""

    tokenizer_json: str
    charsmap: bytes | None
    match: str | None
    """how the charsmap is applied (charsmap.py); None: there is none"""
    clean: str
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    """the special tokens around a text"""
    context_length: int
    vocabulary_size: int
    pad_id: int

    @property
    def end_of_text(self) -> int | None:
        return self.suffix[-1] if self.suffix else None

    @property
    def model(self) -> str:
        return json.loads(self.tokenizer_json)["model"]["type"]

    @property
    def heap_bytes(self) -> int:
        return HEAP_BYTES[self.model] * len(self.tokenizer_json.encode())

    @cached_property
    def library(self) -> JsonTokenizer:
        return JsonTokenizer.from_str(self.tokenizer_json)

    def content(self, texts: Sequence[str]) -> list[list[int]]:
        """Without special tokens, not cut."""
        prepared = [self.prepare(text) for text in texts]
        return [made.ids for made in self.library.encode_batch(prepared, add_special_tokens=False)]

    def prepare(self, text: str) -> str:
        """What the `tokenizer.json` is given."""
        cleaned = cleaning(self.clean)(text)
        return Charsmap(self.charsmap).normalise(cleaned, self.match) if self.match else cleaned

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[*self.prefix, *ids[: self.room], *self.suffix] for ids in self.content(texts)]

    def is_truncated(self, text: str) -> bool:
        return len(self.content([text])[0]) > self.room

    @property
    def room(self) -> int:
        """tokens of a text beside the special ones"""
        return self.context_length - len(self.prefix) - len(self.suffix)

    @property
    def padding_side(self) -> str:
        return "right"

    def edge_problem(self) -> None:
        return None

    def write(self, folder: Path) -> tuple[dict[str, Any], list[Path]]:
        """The `tokenizer.json`, the charsmap if there is one, and, where the cleaning reads it, the table of HTML
        entities."""
        path = folder / "tokenizer.json"
        path.write_text(self.tokenizer_json, encoding="utf-8")
        files = [path]
        if self.charsmap:
            files.append(folder / "charsmap.bin")
            files[-1].write_bytes(self.charsmap)
        if self.clean in OPEN_CLIP:
            files.append(write_html_entities(folder))
        facts = {
            "model": self.model,
            "clean": self.clean,
            "charsmap": self.match,
            "prefix": list(self.prefix),
            "suffix": list(self.suffix),
        }
        numbers = {"endOfText": self.end_of_text, "vocabularySize": self.vocabulary_size}
        return {"kind": "hf-tokenizer", **facts, **numbers}, files


def read_edge_tokenizer(folder: Path, text: dict[str, Any]) -> EdgeTokenizer:
    """Of a bundle. `text`: the manifest's."""
    stated = text["tokenizer"]
    files = [(folder / entry["path"]).read_bytes() for entry in stated["files"]]
    return EdgeTokenizer(
        files[0].decode(),
        files[1] if stated["charsmap"] else None,
        stated["charsmap"],
        stated["clean"],
        tuple(stated["prefix"]),
        tuple(stated["suffix"]),
        text["contextLength"],
        stated["vocabularySize"],
        text.get("padId") or 0,
    )


def cleaning(name: str) -> Callable[[str], str]:
    """What is done to a text before it is cut into tokens."""
    if name in OPEN_CLIP:
        return open_clip_tokenizers().get_clean_fn(name)
    return {NONE: lambda text: text, SIGLIP: clean_siglip}[name]


def clean_siglip(text: str) -> str:
    """As transformers' SiglipTokenizer, but that names of special tokens are no special tokens."""
    lowered = text.replace("▁", " ").lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\s+", " ", lowered).strip()


def take_charsmap(stated: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """A `tokenizer.json` without the charsmap that its normalizer begins with, and that charsmap."""
    normalizer = stated["normalizer"] or {}
    steps = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    if not steps or steps[0].get("type") != "Precompiled":
        return stated, None
    rest = {"type": "Sequence", "normalizers": steps[1:]} if steps[1:] else None
    return {**stated, "normalizer": rest}, base64.b64decode(steps[0]["precompiled_charsmap"])


def json_of(library: PreTrainedTokenizerBase) -> dict[str, Any]:
    """A `tokenizer.json` of a library's tokenizer. Raises TokenizerError for one that has none."""
    if isinstance(library, SiglipTokenizer):
        made = SpmConverter(SimpleNamespace(vocab_file=library.vocab_file)).converted().to_str()
    elif library.is_fast:
        made = library.backend_tokenizer.to_str()
    else:
        raise TokenizerError(f"{type(library).__name__} has no tokenizer.json")
    return {key: value for key, value in json.loads(made).items() if key in KEPT} | {
        "truncation": None,
        "padding": None,
        "post_processor": None,
        "decoder": None,
    }


def kind_of(stated: dict[str, Any]) -> str:
    """As MODELS has it."""
    model = stated["model"]
    return f"{model['type']} with byte_fallback" if model.get("byte_fallback") else model["type"]


def special_tokens(library: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a library puts before and behind a text."""
    plain, marked = (library("a", add_special_tokens=special).input_ids for special in (False, True))
    for at in range(len(marked) - len(plain) + 1):
        if marked[at : at + len(plain)] == plain:
            return tuple(marked[:at]), tuple(marked[at + len(plain) :])
    raise TokenizerError(f"{type(library).__name__} puts no special tokens around a text, but into it")
