"""Golden files for the engine: small random models in its own format, and what PyTorch in float32 makes of inputs.

Every matrix is int8 times a power of two, with a 127 in every row, so that quantising gives it back exactly. Nothing
but the rounding of activations (and the engine's exp and GELU) then separates the engine from PyTorch, and cosines of
0.99999 and more may be asked for: of engine/reference.py, which rounds activations only, 1 - cosine is below 2e-7.
Where products are fast, 7 bits of an activation are too few for that: then the embeddings are those of
engine/reference.py, which a test compares with PyTorch's.
Inputs include rows of zeros, outliers, and a text that goes on after its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from ..engine.calibration import all_fast
from ..engine.linear import pack_linears
from ..engine.reference import EngineEncoder
from ..engine.samples import Samples, image_samples, text_samples
from ..engine.weights import Tensors, Tower
from . import random_clip, random_open_clip, random_siglip
from .engine_model import CONTEXT, VOCABULARY, EngineModel, TokenIds, random_ids, random_pixels, unit_rows

MODELS = {
    case.name: partial(make, case)
    for make, cases in (
        (random_clip.random_clip, random_clip.CASES),
        (random_siglip.random_siglip, random_siglip.CASES),
        (random_open_clip.random_open_clip, random_open_clip.CASES),
        (random_clip.random_clip, random_clip.FAST_CASES),
        (random_siglip.random_siglip, random_siglip.FAST_CASES),
        (random_open_clip.random_open_clip, random_open_clip.RESNET_CASES),
    )
    for case in cases
}


@dataclass(frozen=True)
class EngineGolden:
    """One model: its weights as the engine reads them, inputs and outputs, and its entry in `engine.json`."""

    image: Tensors
    text: Tensors
    tensors: dict[str, np.ndarray]
    """`<case>/pixels` [n, 3, size, size], `<case>/images` [n, dim], `<case>/texts` [m, dim]; m texts are in `entry`"""
    entry: dict[str, Any]


def golden_engine() -> Iterator[EngineGolden]:
    """The same models and inputs every time."""
    for seed, make in enumerate(MODELS.values()):
        random = np.random.default_rng(seed)
        model = make(random)
        pixels, ids = random_pixels(model.size, random), random_ids(model.end_of_text, random)
        if model.fast:
            model = with_fast_products(model, pixels, ids)
        images = unit_rows(model.embed_images, torch.from_numpy(pixels))
        outputs = {"pixels": pixels, "images": images, "texts": unit_rows(model.embed_texts, ids)}
        tensors = {f"{model.name}/{name}": values for name, values in outputs.items()}
        image, text = pack_linears(model.image.tensors), pack_linears(model.text.tensors)
        yield EngineGolden(image, text, tensors, describe(model, images.shape[1], ids))


def with_fast_products(model: EngineModel, pixels: np.ndarray, ids: TokenIds) -> EngineModel:
    """The same model packed for the fast product, and embedding by the engine's arithmetic in PyTorch."""
    image = fast_tower(model.image, image_samples(np.repeat(pixels, 2, axis=0)).fit)
    pairs = [text for text in ids for _ in range(2)]
    text = fast_tower(model.text, text_samples(pairs, model.end_of_text, model.pad_id).fit)
    images, texts = (EngineEncoder(tower.tensors, tower.architecture) for tower in (image, text))

    def embed_texts(rows: TokenIds) -> torch.Tensor:
        embedded = [texts.embed_texts(torch.tensor([row]), model.end_of_text, model.pad_id) for row in rows]
        return torch.cat(embedded)

    return replace(model, image=image, text=text, embed_images=images.embed_images, embed_texts=embed_texts)


def fast_tower(tower: Tower, samples: Samples) -> Tower:
    """Packed, with every linear of the blocks fast that can be."""
    tensors, fast = all_fast(tower, samples)
    return Tower(tensors, {**tower.architecture, "fast": fast})


def describe(model: EngineModel, dim: int, ids: TokenIds) -> dict[str, Any]:
    """A case in `engine.json`: the facts that a manifest would have, and the texts' token ids."""
    image = {"size": model.size, "architecture": model.image.architecture}
    text = {
        "contextLength": CONTEXT,
        "vocabularySize": VOCABULARY,
        "endOfText": model.end_of_text,
        "padId": model.pad_id,
        "architecture": model.text.architecture,
    }
    return {
        "name": model.name,
        "why": model.why,
        "embeddingDim": dim,
        "image": {**image, "file": f"engine-{model.name}-image.safetensors"},
        "text": {**text, "file": f"engine-{model.name}-text.safetensors"},
        "ids": ids,
    }
