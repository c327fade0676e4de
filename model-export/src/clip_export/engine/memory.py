"""What an encoder takes of an isolate's memory on the engine, to the byte, and how long its file will be, nearly.

`memory_bytes` is the plan of src/engine/tower.ts and buffers.ts: the file, the activations of one batch and what the
products need, each at a multiple of 64, in whole pages. `test/engine/memory.test.ts` compares it with what the engine
claims, for the sizes of the field's models (golden/engine_memory.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .file import ALIGNMENT
from .linear import GROUP, INPUTS

HEAP_BASE = 1152
"""where the kernels' own data end in build/engine.wasm: 1148, at the next multiple of 64"""
PAGE = 65536
TEXT_ROWS = 128
"""tokens of several texts in one product (src/engine/text-encoder.ts, ROWS)"""
HEADER_BYTES = 200
"""the most that a tensor and its padding take in a file's header"""
FLOAT = 4


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
    def patches(self) -> int:
        """Of an image."""
        return (self.image_size // self.architecture["patch"]) ** 2

    @property
    def patch_inputs(self) -> int:
        """Of the patches' product, padded."""
        return _up(3 * self.architecture["patch"] ** 2, INPUTS)

    @property
    def tokens(self) -> int:
        """Of a sequence, the most."""
        if self.context_length:
            return self.context_length
        return self.patches + self.architecture.get("classToken", True)


def memory_bytes(sizes: EncoderSizes, file_bytes: int) -> int:
    """Bytes that the engine claims for an encoder whose file has `file_bytes`."""
    width, mlp = sizes.architecture["width"], sizes.architecture["mlp"]
    rows = _room(max(TEXT_ROWS, sizes.tokens) if sizes.context_length else sizes.tokens)
    widest = max(width, mlp)
    packed = rows * _up(widest, INPUTS)
    embedding_room, handed_over = 0, FLOAT * sizes.context_length
    if sizes.image_size:
        packed = max(packed, _room(sizes.patches) * sizes.patch_inputs)
        embedding_room = FLOAT * _room(sizes.tokens) * sizes.patch_inputs
        handed_over = FLOAT * 3 * sizes.image_size**2
    taken = [
        file_bytes,
        *_activations(sizes, rows, max(embedding_room, FLOAT * rows * sizes.embedding_dim)),
        max(2 * packed, handed_over),
        FLOAT * rows * -(-widest // GROUP),
        FLOAT * max(3 * width, mlp, sizes.embedding_dim),
    ]
    return _up(HEAP_BASE + sum(_up(size, ALIGNMENT) for size in taken), PAGE)


def file_bytes(sizes: EncoderSizes, fast: bool = False) -> int:
    """An encoder's file, from its architecture alone: never less than it will have, and at most 1 kB a tensor more.

    `fast`: whether all products of the blocks that can be are the fast one, which has a 32nd more.
    """
    tensors = list(_image_tensors(sizes, fast) if sizes.image_size else _text_tensors(sizes, fast))
    return ALIGNMENT + sum(_up(size, ALIGNMENT) + HEADER_BYTES for size in tensors)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _room(rows: int) -> int:
    """Rows with those past the last that the kernels write (src/engine/operations.ts, roomFor)."""
    return _up(rows + 3, 8)


def _activations(sizes: EncoderSizes, rows: int, wide: int) -> Iterator[int]:
    """src/engine/buffers.ts"""
    shape = sizes.architecture
    width, tokens, head = shape["width"], _room(sizes.tokens), shape["width"] // shape["heads"]
    yield max(FLOAT * rows * max(shape["mlp"], 4 * width), wide)
    yield from [FLOAT * rows * width] * 2
    if shape.get("causal"):
        yield from [FLOAT * tokens * 2 * width] * shape["layers"]
    yield from [tokens * head * 2, tokens * 4] * 2
    yield from (32, 24 * tokens + 8 * head + 64)


def _linear(outputs: int, inputs: int, fast: bool = False) -> Iterator[int]:
    """engine/linear.py; with a bias, which some have not."""
    yield outputs * _up(inputs, INPUTS)
    yield from [FLOAT * outputs] * 2
    if fast and inputs % INPUTS == 0:
        yield FLOAT * outputs * -(-inputs // GROUP)


def _blocks(shape: dict[str, Any], fast: bool) -> Iterator[int]:
    width, mlp = shape["width"], shape["mlp"]
    for _ in range(shape["layers"]):
        yield from [FLOAT * width] * 4  # two norms
        yield from _linear(3 * width, width, fast)
        yield from _linear(width, width, fast)
        yield from _linear(mlp, width, fast)
        yield from _linear(width, mlp, fast)
        if fast:
            yield FLOAT * mlp


def _ends(sizes: EncoderSizes) -> Iterator[int]:
    """The norm after the blocks, and the projection."""
    width = sizes.architecture["width"]
    yield from [FLOAT * width] * 2
    if sizes.architecture.get("projection", True):
        yield from _linear(sizes.embedding_dim, width)


def _image_tensors(sizes: EncoderSizes, fast: bool) -> Iterator[int]:
    """src/engine/tensors.ts, imageTensors"""
    shape = sizes.architecture
    width, mlp = shape["width"], shape["mlp"]
    yield from _linear(width, 3 * shape["patch"] ** 2)
    yield from [FLOAT * width] * 3  # the class token, and the norm before the blocks
    yield FLOAT * sizes.tokens * width
    yield from _blocks(shape, fast)
    if shape["pooling"] == "attention":
        yield from [FLOAT * width] * 3
        yield from (*_linear(2 * width, width), *_linear(width, width), *_linear(mlp, width), *_linear(width, mlp))
    yield from _ends(sizes)


def _text_tensors(sizes: EncoderSizes, fast: bool) -> Iterator[int]:
    """src/engine/tensors.ts, textTensors"""
    width = sizes.architecture["width"]
    yield from (sizes.vocabulary * width, FLOAT * sizes.vocabulary, FLOAT * sizes.context_length * width)
    yield from _blocks(sizes.architecture, fast)
    yield from _ends(sizes)
