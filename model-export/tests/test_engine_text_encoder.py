"""The engine's text encoder for many prompts, against the engine's arithmetic as engine/reference.py states it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
import torch

from clip_export.clip_tokenizer import encode
from clip_export.engine.architecture import text_architecture
from clip_export.engine.file import read_engine_tensors
from clip_export.engine.linear import pack_linears
from clip_export.engine.reference import EngineEncoder
from clip_export.engine.text_encoder import TextEncoder, common_start
from clip_export.engine.weights import text_tensors
from clip_export.manifest import read_manifest, read_parts
from clip_export.sources.source import Source

BUNDLE = Path(__file__).parents[2] / "public/models/tiny-64"
END = 49407
TEXTS = [
    f"{start} {name}{end}"
    for start, end in (("a photo of a", "."), ("", ""), ("art of the <|endoftext|>", " on a table"))
    for name in ("cat", "dog", "tabby cat", "school bus", "", "cat cat cat cat")
]


def batches() -> list[torch.Tensor]:
    ids = sorted((encode(text, 77) for text in TEXTS), key=len)
    return [torch.tensor(list(group)) for _, group in groupby(ids, key=len)]


@pytest.mark.parametrize(("causal", "pooling", "pad"), [(True, "first-eot", None), (False, "last", 0)])
@pytest.mark.parametrize("fast", [[], ["layers.0.qkv", "layers.0.fc1", "layers.1.fc2", "layers.1.out"]])
def test_it_is_the_references_arithmetic(
    source: Source, causal: bool, pooling: str, pad: int | None, fast: list[str]
) -> None:
    tensors = pack_linears(text_tensors(source.model), fast)
    architecture = {**text_architecture(source.model.config), "causal": causal, "pooling": pooling}
    encoder = TextEncoder(tensors, architecture, torch.device("cpu"))
    reference = EngineEncoder(tensors, architecture)
    for ids in batches():
        cosines = (encoder(ids, END, pad) * reference.embed_texts(ids, END, pad)).sum(dim=1)
        assert cosines.min() > (0.9995 if fast else 0.999999)


def test_of_tiny_64_it_is_the_references_arithmetic() -> None:
    text = read_manifest(BUNDLE)["text"]
    tensors = read_engine_tensors(read_parts(BUNDLE, text["files"]))
    encoder = TextEncoder(tensors, text["architecture"], torch.device("cpu"))
    reference = EngineEncoder(tensors, text["architecture"])
    cosines = torch.cat([(encoder(ids, END) * reference.embed_texts(ids, END)).sum(dim=1) for ids in batches()])
    assert cosines.min() > 0.9999
    assert cosines.mean() > 0.999999


def test_what_texts_begin_with_alike() -> None:
    ids = torch.tensor([[1, 2, 3, 4], [1, 2, 9, 4], [1, 2, 3, 4]])
    assert common_start(ids, 3) == 2
    assert common_start(ids, 1) == 1
    assert common_start(ids[:1], 3) == 0
