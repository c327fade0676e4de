"""The hash by which an export knows that it was made already: all that changes a bundle changes it."""

from __future__ import annotations

from dataclasses import replace

from clip_export.bundle import BundleFacts
from clip_export.request import request_sha256
from clip_export.sources.source import Source


def request_of(source: Source, facts: BundleFacts, **options: object) -> str:
    return request_sha256(source, facts, [], options, None)


def test_the_tokenizer_is_part_of_it(source: Source, facts: BundleFacts) -> None:
    """The sha256 of the weights is the same, whatever tokenizer lies beside them."""
    same = replace(source, text=replace(source.text))
    other = replace(source.text.tokenizer, clean="canonicalize")
    assert request_of(same, facts) == request_of(source, facts)
    for text in (None, replace(source.text, tokenizer=other), replace(source.text, padded=True)):
        assert request_of(replace(source, text=text), facts) != request_of(source, facts)


def test_facts_and_options_are_part_of_it(source: Source, facts: BundleFacts) -> None:
    made = request_of(source, facts, precision="int8")
    assert request_of(source, facts, precision="float16") != made
    for changed in (replace(facts, title="X"), replace(facts, storage="r2"), replace(facts, label_sets=[])):
        assert request_of(source, changed, precision="int8") != made
