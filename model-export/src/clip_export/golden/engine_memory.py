"""What clip-export says that the field's encoders take on the engine: the engine's own claims are compared with it."""

from __future__ import annotations

from typing import Any

from ..clip_tokenizer import VOCABULARY
from ..engine.architecture import transformer_architecture
from ..engine.memory import EncoderSizes, file_bytes, memory_bytes
from ..engine.resnet import RESNET
from ..isolate_fit import ISOLATE_BYTES

CLIP_IMAGE = {"classToken": True, "preNorm": True, "pooling": "cls"}
SIGLIP_IMAGE = {"classToken": False, "preNorm": False, "pooling": "attention"}
MEAN_IMAGE = {"classToken": False, "preNorm": False, "pooling": "mean"}
SIGLIP_VOCABULARY = 32_000


def golden_memory() -> dict[str, Any]:
    """`engine-memory.json`: what an isolate has, and of each encoder its architecture and the predicted bytes of file
    and memory."""
    cases = [describe(name, sizes, fast) for name, sizes in models().items() for fast in (False, True)]
    cases += [describe(name, sizes, False) for name, sizes in resnets().items()]
    return {"isolateBytes": ISOLATE_BYTES, "cases": cases}


def models() -> dict[str, EncoderSizes]:
    """In the sizes of the papers (Radford et al. 2021, table 20; Zhai et al. 2023; Wu et al. 2023)."""
    return {
        "tiny-64 image": image(64, 8, (12, 256, 4, 1024), 256, CLIP_IMAGE),
        "tiny-64 text": text((4, 256, 4, 1024), 256),
        "TinyCLIP-ViT-8M/16 image": image(224, 16, (10, 256, 4, 1024), 512, CLIP_IMAGE),
        "TinyCLIP-ViT-8M/16 text": text((3, 256, 4, 1024), 512),
        "ViT-B/32 image": image(224, 32, (12, 768, 12, 3072), 512, CLIP_IMAGE),
        "ViT-B/16 image": image(224, 16, (12, 768, 12, 3072), 512, CLIP_IMAGE),
        "ViT-B text": text((12, 512, 8, 2048), 512),
        "ViT-L/14 image": image(224, 14, (24, 1024, 16, 4096), 768, CLIP_IMAGE),
        "ViT-L text": text((12, 768, 12, 3072), 768),
        "SigLIP-B/16 image": image(256, 16, (12, 768, 12, 3072), None, SIGLIP_IMAGE),
        "SigLIP-B text": siglip_text((12, 768, 12, 3072), 768),
        "ViT-S/16 image, mean": image(224, 16, (12, 384, 6, 1536), 384, MEAN_IMAGE),
    }


def resnets() -> dict[str, EncoderSizes]:
    """CLIP's, and a narrow one whose sides are odd where they are halved."""
    return {
        "RN50 image": resnet(224, [3, 4, 6, 3], 64, 32, 1024),
        "RN101 image": resnet(224, [3, 4, 23, 3], 64, 32, 512),
        "RN50x4 image": resnet(288, [4, 6, 10, 6], 80, 40, 640),
        "RN50x16 image": resnet(384, [6, 8, 18, 8], 96, 48, 768),
        "narrow ResNet image": resnet(70, [1, 2, 1, 1], 22, 11, 4096),
    }


def resnet(size: int, stages: list[int], width: int, heads: int, dim: int) -> EncoderSizes:
    return EncoderSizes({"kind": RESNET, "stages": stages, "width": width, "heads": heads}, dim, image_size=size)


def image(
    size: int, patch: int, shape: tuple[int, int, int, int], dim: int | None, more: dict[str, Any]
) -> EncoderSizes:
    """`shape`: layers, width, heads, MLP width. `dim`: of the projection; None without one."""
    return EncoderSizes({**transformer(shape, dim), "patch": patch, **more}, dim or shape[1], image_size=size)


def text(shape: tuple[int, int, int, int], dim: int) -> EncoderSizes:
    """CLIP's."""
    facts = {**transformer(shape, dim), "causal": True, "pooling": "first-eot"}
    return EncoderSizes(facts, dim, context_length=77, vocabulary=VOCABULARY)


def siglip_text(shape: tuple[int, int, int, int], dim: int) -> EncoderSizes:
    """SigLIP's."""
    facts = {**transformer(shape, dim), "causal": False, "pooling": "last"}
    return EncoderSizes(facts, dim, context_length=64, vocabulary=SIGLIP_VOCABULARY)


def transformer(shape: tuple[int, int, int, int], dim: int | None) -> dict[str, Any]:
    layers, width, heads, mlp = shape
    names = {"layers": layers, "width": width, "heads": heads, "mlp": mlp}
    return transformer_architecture("golden", **names, activation="gelu", eps=1e-5, embedding_dim=dim)


def describe(name: str, sizes: EncoderSizes, fast: bool) -> dict[str, Any]:
    layers = sizes.architecture.get("layers", 0)
    linears = [f"layers.{i}.{linear}" for i in range(layers) for linear in LINEARS]
    predicted = file_bytes(sizes, fast)
    return {
        "name": f"{name}, {'fast' if fast else 'exact'}",
        "architecture": {**sizes.architecture, "fast": linears if fast else []},
        "embeddingDim": sizes.embedding_dim,
        "size": sizes.image_size,
        "contextLength": sizes.context_length,
        "vocabularySize": sizes.vocabulary,
        "fileBytes": predicted,
        "memoryBytes": memory_bytes(sizes, predicted),
    }


LINEARS = ("qkv", "out", "fc1", "fc2")
