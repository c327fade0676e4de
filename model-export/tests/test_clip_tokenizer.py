"""The tokenizer's artifact: a plain byte-pair encoding over `merges.bin` must give the reference's ids."""

from __future__ import annotations

import html
import html.entities
import json
from itertools import pairwise
from pathlib import Path

import ftfy
import numpy as np
import pytest
import regex

from clip_export.clip_tokenizer import encode, is_truncated, open_clip_tokenizer, write_artifact
from clip_export.hard_texts import LONG, curated, nonsense, prompts

START, END = 49406, 49407
WORD = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE
)


class PlainBpe:
    """Works on ids only, as the edge does: it never sees the vocabulary's strings."""

    def __init__(self, folder: Path) -> None:
        pairs = np.frombuffer((folder / "merges.bin").read_bytes(), "<u2").reshape(-1, 2)
        self.rank = {(int(first), int(second)): rank for rank, (first, second) in enumerate(pairs)}
        visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
        self.byte_ids = {
            byte: index for index, byte in enumerate(visible + [b for b in range(256) if b not in visible])
        }

    def word(self, word: str) -> list[int]:
        if word in ("<|startoftext|>", "<|endoftext|>"):
            return [START if "start" in word else END]
        ids = [self.byte_ids[byte] for byte in word.encode()]
        ids[-1] += 256
        while len(ids) > 1:
            best = min(pairwise(ids), key=lambda pair: self.rank.get(pair, 1 << 20))
            if best not in self.rank:
                break
            ids = self.merged(ids, best)
        return ids

    def merged(self, ids: list[int], pair: tuple[int, int]) -> list[int]:
        out, at = [], 0
        while at < len(ids):
            joined = tuple(ids[at : at + 2]) == pair
            out.append(512 + self.rank[pair] if joined else ids[at])
            at += 2 if joined else 1
        return out

    def encode(self, text: str, context_length: int) -> list[int]:
        cleaned = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
        cleaned = " ".join(cleaned.split()).lower()
        ids = [token for word in WORD.findall(cleaned) for token in self.word(word)]
        return [START, *ids[: context_length - 2], END]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    assert [path.name for path in write_artifact(folder)] == ["merges.bin", "html-entities.json"]
    return folder


def test_artifact_reproduces_the_reference(artifact: Path) -> None:
    plain = PlainBpe(artifact)
    texts = [*curated(), *prompts(), *nonsense()]
    wrong = [text for text in texts if plain.encode(text, 77) != encode(text, 77)]
    assert wrong == []


def test_artifact_has_the_stated_layout(artifact: Path) -> None:
    assert (artifact / "merges.bin").stat().st_size == 48_894 * 4
    entities = json.loads((artifact / "html-entities.json").read_text(encoding="utf-8"))
    assert entities == html.entities.html5
    assert entities["amp"] == entities["amp;"] == "&"


def test_known_ids() -> None:
    # OpenAI's README: clip.tokenize(["a diagram"]) and "a photo of a cat"
    assert encode("a diagram", 77) == [START, 320, 22697, END]
    assert encode("a photo of a cat", 77) == [START, 320, 1125, 539, 320, 2368, END]
    assert encode("", 77) == [START, END]


def test_special_tokens_are_spelt_as_openai_spells_them() -> None:
    assert encode("a <|endoftext|>", 77) == [START, 320, END, END]
    assert END not in encode("<end_of_text>", 77)[:-1]


def test_other_texts_have_open_clips_ids() -> None:
    unchanged = open_clip_tokenizer()
    for text in prompts():
        assert encode(text, 77)[1:-1] == unchanged.encode(text)


@pytest.mark.parametrize("context_length", [77, 16, 2])
def test_over_long_texts_keep_the_end_token(context_length: int) -> None:
    for text in LONG:
        ids = encode(text, context_length)
        assert len(ids) <= context_length
        assert (ids[0], ids[-1]) == (START, END)
    assert is_truncated("word " * 76, 77)
    assert not is_truncated("word " * 75, 77)
