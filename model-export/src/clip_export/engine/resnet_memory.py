"""What a ResNet takes of an isolate's memory on the engine, besides its file, and the tensors of the file.

The plan of src/engine/resnet.ts, resnet-shape.ts and convolutions.ts; engine/memory.py adds it up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .architecture import PANEL
from .lengths import FLOAT, attention_buffers, linear_tensors, room, up
from .linear import INPUTS
from .resnet import COLOURS

NEIGHBOURS = 9
STRIP_BYTES = 512 * 1024
"""the neighbourhoods of a strip (src/engine/convolutions.ts)"""


@dataclass(frozen=True)
class Bottleneck:
    side: int
    """pixels of what comes in"""
    out_side: int
    """pixels of what it puts out"""
    inputs: int
    inner: int
    outputs: int
    first: bool
    """of its stage"""

    @property
    def pools(self) -> bool:
        return self.out_side < self.side


class ResNetSizes:
    """By the manifest's `architecture`, and the image's size."""

    def __init__(self, architecture: dict[str, Any], size: int, embedding_dim: int) -> None:
        width = architecture["width"]
        self.size, self.embedding_dim, self.heads = size, embedding_dim, architecture["heads"]
        self.stem_side, self.stem_inner, self.stem_outputs = (size + 1) // 2, up(width // 2, PANEL), up(width, PANEL)
        self.bottlenecks: list[Bottleneck] = []
        side, inputs = self.stem_side // 2, self.stem_outputs
        for stage, count in enumerate(architecture["stages"]):
            inner = width * 2**stage
            for i in range(count):
                out_side = side // 2 if stage > 0 and i == 0 else side
                block = Bottleneck(side, out_side, inputs, up(inner, PANEL), 4 * inner, i == 0)
                self.bottlenecks.append(block)
                side, inputs = out_side, block.outputs
        self.width, self.tokens = inputs, side**2 + 1

    def activations(self) -> Iterator[int]:
        """Bytes of each buffer."""
        yield from self._maps()
        strips = [(room(min(rows, _strip_rows(inputs))), inputs, 0) for rows, inputs in self._products()]
        strips += [
            (room(min(side, _strip_lines(side, inputs)) * side), inputs, outputs)
            for side, inputs, outputs in self._pooled()
        ]
        values = max(rows * up(inputs, INPUTS) for rows, inputs, _ in strips)
        yield FLOAT * values
        yield FLOAT * max(rows * outputs for rows, _, outputs in strips)
        yield from (2 * values, FLOAT * max(rows for rows, _, _ in strips))
        yield from attention_buffers(self.tokens, self.width // self.heads)

    def tensors(self) -> Iterator[int]:
        """Bytes of each tensor of the file."""
        yield from linear_tensors(self.stem_inner, NEIGHBOURS * COLOURS)
        yield from linear_tensors(self.stem_inner, NEIGHBOURS * self.stem_inner)
        yield from linear_tensors(self.stem_outputs, NEIGHBOURS * self.stem_inner)
        for block in self.bottlenecks:
            yield from linear_tensors(block.inner, block.inputs)
            yield from linear_tensors(block.inner, NEIGHBOURS * block.inner)
            yield from linear_tensors(block.outputs, block.inputs) if block.first else ()
            yield from linear_tensors(block.outputs, block.inner)
        yield FLOAT * self.tokens * self.width
        yield from linear_tensors(self.width, self.width)
        yield from linear_tensors(2 * self.width, self.width)
        yield from linear_tensors(self.embedding_dim, self.width)

    def _maps(self) -> Iterator[int]:
        stages = [block for block in self.bottlenecks if block.first]
        stem = _map(self.stem_side, self.stem_inner)
        pairs = [_map(self.stem_side // 2, self.stem_outputs) + stem]
        for block in stages:
            shortcut = _map(block.out_side, block.inputs)
            pairs.append(shortcut + _map(block.out_side, block.outputs))
            if block.pools:
                pairs.append(shortcut + _map(block.side, block.inputs))
        tokens, vector = FLOAT * room(self.tokens) * self.width, FLOAT * room(1)
        yield max(_map(self.size, COLOURS), *pairs, 2 * vector * self.width)
        yield max(stem, *(_map(block.side, block.inner) for block in stages), tokens, vector * self.embedding_dim)
        yield max(*(_map(block.out_side, block.inner) for block in self.bottlenecks), 2 * tokens)

    def _products(self) -> Iterator[tuple[int, int]]:
        """Rows and inputs, of those whose outputs are not pooled."""
        yield self.stem_side**2, NEIGHBOURS * COLOURS
        yield self.stem_side**2, NEIGHBOURS * self.stem_inner
        for block in self.bottlenecks:
            yield block.side**2, block.inputs
            yield block.out_side**2, block.inner
            if not block.pools:
                yield block.side**2, NEIGHBOURS * block.inner
        yield self.tokens, self.width

    def _pooled(self) -> Iterator[tuple[int, int, int]]:
        """Pixels a side, inputs and outputs, of those whose outputs are pooled."""
        yield self.stem_side, NEIGHBOURS * self.stem_inner, self.stem_outputs
        for block in self.bottlenecks:
            if block.pools:
                yield block.side, NEIGHBOURS * block.inner, block.inner


def _map(side: int, channels: int) -> int:
    return FLOAT * room(side**2) * channels


def _strip_rows(inputs: int) -> int:
    return 8 * max(1, STRIP_BYTES // (up(inputs, INPUTS) * FLOAT * 8))


def _strip_lines(side: int, inputs: int) -> int:
    return 2 * max(1, _strip_rows(inputs) // (2 * side))
