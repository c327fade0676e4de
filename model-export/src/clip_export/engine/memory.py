"""What an encoder takes of an isolate's memory on the engine, to the byte, and how long its file will be, nearly.

`memory_bytes` is the plan of src/engine/tower.ts and buffers.ts, of a ResNet resnet_memory.py: the file, the
activations of one batch and what the products need, each at a multiple of 64, in whole pages.
`test/engine/memory.test.ts` compares it with what the engine claims, for the sizes of the field's models
(golden/engine_memory.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .file import ALIGNMENT
from .lengths import FLOAT, attention_buffers, linear_tensors, room, up
from .linear import GROUP, INPUTS
from .resnet import RESNET
from .resnet_memory import ResNetSizes

HEAP_BASE = 1152
"""where the kernels' own data end in build/engine.wasm: 1148, at the next multiple of 64"""
PAGE = 65536
TEXT_ROWS = 128
"""tokens of several texts in one product (src/engine/text-encoder.ts, ROWS)"""
HEADER_BYTES = 200
"""the most that a tensor and its padding take in a file's header"""


@dataclass(frozen=True)
class EncoderSizes:
    """An encoder as the manifest has it, without its weights."""

    architecture: dict[str, Any]
    embedding_dim: int
    image_size: int = 0
    """of an image encoder: pixels a side"""
    context_length: int = 0
    """of a text encoder"""
    vocabulary: int = 0

    @property
    def resnet(self) -> ResNetSizes | None:
        """None: it is a Transformer."""
        if self.architecture.get("kind") != RESNET:
            return None
        return ResNetSizes(self.architecture, self.image_size, self.embedding_dim)

    @property
    def patches(self) -> int:
        """Of an image."""
        return (self.image_size // self.architecture["patch"]) ** 2

    @property
    def patch_inputs(self) -> int:
        """Of the patches' product, padded."""
        return up(3 * self.architecture["patch"] ** 2, INPUTS)

    @property
    def tokens(self) -> int:
        """Of a sequence, the most."""
        if self.context_length:
            return self.context_length
        return self.patches + self.architecture.get("classToken", True)


def memory_bytes(sizes: EncoderSizes, file_bytes: int) -> int:
    """Bytes that the engine claims for an encoder whose file has `file_bytes`."""
    activations = sizes.resnet.activations() if sizes.resnet else _transformer(sizes)
    return up(HEAP_BASE + sum(up(size, ALIGNMENT) for size in (file_bytes, *activations)), PAGE)


def _transformer(sizes: EncoderSizes) -> Iterator[int]:
    """src/engine/tower.ts"""
    width, mlp = sizes.architecture["width"], sizes.architecture["mlp"]
    rows = room(max(TEXT_ROWS, sizes.tokens) if sizes.context_length else sizes.tokens)
    widest = max(width, mlp)
    packed = rows * up(widest, INPUTS)
    embedding_room, handed_over = 0, FLOAT * sizes.context_length
    if sizes.image_size:
        packed = max(packed, room(sizes.patches) * sizes.patch_inputs)
        embedding_room = FLOAT * room(sizes.tokens) * sizes.patch_inputs
        handed_over = FLOAT * 3 * sizes.image_size**2
    yield from _activations(sizes, rows, max(embedding_room, FLOAT * rows * sizes.embedding_dim))
    yield max(2 * packed, handed_over)
    yield FLOAT * rows * -(-widest // GROUP)
    yield FLOAT * max(3 * width, mlp, sizes.embedding_dim)


def file_bytes(sizes: EncoderSizes, fast: bool = False) -> int:
    """An encoder's file, from its architecture alone: never less than it will have, and at most 1 kB a tensor more.

    `fast`: whether all products of the blocks that can be are the fast one, which has a 32nd more.
    """
    tensors = list(_image_tensors(sizes, fast) if sizes.image_size else _text_tensors(sizes, fast))
    return ALIGNMENT + sum(up(size, ALIGNMENT) + HEADER_BYTES for size in tensors)


def _activations(sizes: EncoderSizes, rows: int, wide: int) -> Iterator[int]:
    """src/engine/buffers.ts"""
    shape = sizes.architecture
    width, tokens, head = shape["width"], room(sizes.tokens), shape["width"] // shape["heads"]
    yield max(FLOAT * rows * max(shape["mlp"], 4 * width), wide)
    yield from [FLOAT * rows * width] * 2
    if shape.get("causal"):
        yield from [FLOAT * tokens * 2 * width] * shape["layers"]
    yield from attention_buffers(sizes.tokens, head)


def _blocks(shape: dict[str, Any], fast: bool) -> Iterator[int]:
    width, mlp = shape["width"], shape["mlp"]
    for _ in range(shape["layers"]):
        yield from [FLOAT * width] * 4  # two norms
        yield from linear_tensors(3 * width, width, fast)
        yield from linear_tensors(width, width, fast)
        yield from linear_tensors(mlp, width, fast)
        yield from linear_tensors(width, mlp, fast)
        if fast:
            yield FLOAT * mlp


def _ends(sizes: EncoderSizes) -> Iterator[int]:
    """The norm after the blocks, and the projection."""
    width = sizes.architecture["width"]
    yield from [FLOAT * width] * 2
    if sizes.architecture.get("projection", True):
        yield from linear_tensors(sizes.embedding_dim, width)


def _image_tensors(sizes: EncoderSizes, fast: bool) -> Iterator[int]:
    """src/engine/tensors.ts, imageTensors, and of a ResNet resnet-shape.ts"""
    if sizes.resnet:
        yield from sizes.resnet.tensors()
        return
    shape = sizes.architecture
    width, mlp = shape["width"], shape["mlp"]
    yield from linear_tensors(width, 3 * shape["patch"] ** 2)
    yield from [FLOAT * width] * 3  # the class token, and the norm before the blocks
    yield FLOAT * sizes.tokens * width
    yield from _blocks(shape, fast)
    if shape["pooling"] == "attention":
        yield from [FLOAT * width] * 3
        yield from (
            *linear_tensors(2 * width, width),
            *linear_tensors(width, width),
            *linear_tensors(mlp, width),
            *linear_tensors(width, mlp),
        )
    yield from _ends(sizes)


def _text_tensors(sizes: EncoderSizes, fast: bool) -> Iterator[int]:
    """src/engine/tensors.ts, textTensors"""
    width = sizes.architecture["width"]
    yield from (sizes.vocabulary * width, FLOAT * sizes.vocabulary, FLOAT * sizes.context_length * width)
    yield from _blocks(sizes.architecture, fast)
    yield from _ends(sizes)
