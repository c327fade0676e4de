"""What a ResNet takes of an isolate's memory: the plan of src/engine/resnet.ts, resnet-shape.ts and convolutions.ts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .architecture import PANEL
from .layout import FLOAT, attention_bytes, linear_bytes, room, up
from .linear import INPUTS

KIND = "resnet"
"""the manifest's `kind`"""
COLOURS, NEIGHBOURS = 3, 9
STRIP_BYTES = 512 * 1024


@dataclass(frozen=True)
class Bottleneck:
    side: int
    inputs: int
    inner: int
    outputs: int
    first: bool
    """of its stage"""
    pools: bool


@dataclass(frozen=True)
class ResNetSizes:
    """By the architecture and the image's side."""

    stem_side: int
    stem_inner: int
    stem_outputs: int
    bottlenecks: list[Bottleneck]
    side: int
    width: int

    @property
    def tokens(self) -> int:
        """That the attention sees."""
        return self.side**2 + 1


def resnet_sizes(architecture: dict[str, Any], size: int) -> ResNetSizes:
    """src/engine/resnet-shape.ts, resNetShape"""
    width = architecture["width"]
    stem_side, outputs = -(-size // 2), up(width, PANEL)
    side, inputs, bottlenecks = stem_side // 2, outputs, []
    for stage, count in enumerate(architecture["stages"]):
        inner = width * 2**stage
        for i in range(count):
            pools = i == 0 and stage > 0
            bottlenecks.append(Bottleneck(side, inputs, up(inner, PANEL), 4 * inner, i == 0, pools))
            side, inputs = side // 2 if pools else side, 4 * inner
    return ResNetSizes(stem_side, up(width // 2, PANEL), outputs, bottlenecks, side, inputs)


def resnet_activations(architecture: dict[str, Any], size: int, embedding_dim: int) -> Iterator[int]:
    """Bytes of each thing that lies beside the file."""
    shape = resnet_sizes(architecture, size)
    yield from _maps(shape, size, embedding_dim)
    yield from _strips(shape)
    yield from attention_bytes(shape.tokens, shape.width // architecture["heads"])


def resnet_tensors(architecture: dict[str, Any], size: int, embedding_dim: int) -> Iterator[int]:
    """Bytes of the tensors of its file."""
    shape = resnet_sizes(architecture, size)
    yield from linear_bytes(shape.stem_inner, NEIGHBOURS * COLOURS)
    yield from linear_bytes(shape.stem_inner, NEIGHBOURS * shape.stem_inner)
    yield from linear_bytes(shape.stem_outputs, NEIGHBOURS * shape.stem_inner)
    for block in shape.bottlenecks:
        yield from linear_bytes(block.inner, block.inputs)
        yield from linear_bytes(block.inner, NEIGHBOURS * block.inner)
        if block.first:
            yield from linear_bytes(block.outputs, block.inputs)
        yield from linear_bytes(block.outputs, block.inner)
    yield FLOAT * shape.tokens * shape.width
    for outputs in (shape.width, 2 * shape.width, embedding_dim):
        yield from linear_bytes(outputs, shape.width)


def _maps(shape: ResNetSizes, size: int, embedding_dim: int) -> Iterator[int]:
    def area(side: int, channels: int) -> int:
        return room(side**2) * channels * FLOAT

    stages = [block for block in shape.bottlenecks if block.first]
    outputs = [area(block.side // 2 if block.pools else block.side, block.outputs) for block in stages]
    vector = room(1) * FLOAT
    yield max(area(size, COLOURS), area(shape.stem_side, shape.stem_outputs), *outputs[0::2], 2 * vector * shape.width)
    yield max(area(shape.stem_side // 2, shape.stem_outputs), *outputs[1::2])
    yield from [
        max(
            area(shape.stem_side, shape.stem_inner),
            *(area(block.side, block.inner) for block in stages),
            room(shape.tokens) * 2 * shape.width * FLOAT,
            vector * embedding_dim,
        )
    ] * 2


def _strips(shape: ResNetSizes) -> Iterator[int]:
    products = [(shape.stem_side**2, NEIGHBOURS * inputs) for inputs in (COLOURS, shape.stem_inner)]
    for block in shape.bottlenecks:
        products += [(block.side**2, inputs) for inputs in (block.inputs, NEIGHBOURS * block.inner)]
    products.append((shape.tokens, shape.width))
    strips = []
    for rows, inputs in products:
        padded = up(inputs, INPUTS)
        strips.append((room(min(rows, 8 * max(1, STRIP_BYTES // (padded * FLOAT * 8)))), padded))
    values = max(rows * inputs for rows, inputs in strips)
    yield from (FLOAT * values, 2 * values, FLOAT * max(rows for rows, _ in strips))
