"""Tokens of many prompts are those of the reference, text by text."""

from __future__ import annotations

import random
from pathlib import Path

from clip_export.clip_tokenizer import ClipTokenizer
from clip_export.label_file import read_lines
from clip_export.prompt_tokens import PromptTokens, prompt_tokens

FILES = Path(__file__).parents[1]
ODD = [
    "",
    "   ",
    "<|endoftext|> a",
    "A<|STARTOFTEXT|>b",
    "it's 'S 'LL",
    "a\tb",
    "caf\u00e9",
    "&amp; &lt;",
    "ſ's",
    "a" * 300,
]


def test_they_are_the_references() -> None:
    reference = ClipTokenizer(77)
    labels, templates = read_lines(FILES / "label-sets/imagenet-200.txt"), read_lines(FILES / "templates/simple-7.txt")
    prompts = [template.replace("{}", label) for template in templates for label in labels]
    chosen = random.Random(0)
    ascii_texts = ["".join(chr(chosen.randrange(32, 127)) for _ in range(chosen.randrange(30))) for _ in range(2000)]
    for texts in (prompts, ascii_texts, ODD):
        assert PromptTokens(77).encode(texts) == reference.encode(texts)
    assert PromptTokens(6).encode(["a b c d e f"]) == ClipTokenizer(6).encode(["a b c d e f"])
    cut = [PromptTokens(6).is_truncated(text) for text in ("a b c d", "a b c d e")]
    assert cut == [ClipTokenizer(6).is_truncated(text) for text in ("a b c d", "a b c d e")] == [False, True]


def test_another_tokenizer_stays_as_it_is() -> None:
    class Other:
        context_length = 5

    other = Other()
    assert prompt_tokens(other) is other
    assert isinstance(prompt_tokens(ClipTokenizer(77)), PromptTokens)
