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
    inputs: int
    inner: int
    outputs: int
    first: bool
    """of its stage"""
    pools: bool


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
                pools = stage > 0 and i == 0
                self.bottlenecks.append(Bottleneck(side, inputs, up(inner, PANEL), 4 * inner, i == 0, pools))
                side, inputs = side // 2 if pools else side, 4 * inner
        self.width, self.tokens = inputs, side**2 + 1

    def activations(self) -> Iterator[int]:
        """Bytes of each buffer."""
        yield from self._maps()
        strips = [(room(min(rows, _strip_rows(inputs))), up(inputs, INPUTS)) for rows, inputs in self._products()]
        values = max(rows * inputs for rows, inputs in strips)
        yield from (FLOAT * values, 2 * values, FLOAT * max(rows for rows, _ in strips))
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
        outputs = [_map(block.side // 2 if block.pools else block.side, block.outputs) for block in stages]
        vector = FLOAT * room(1)
        stem = _map(self.stem_side, self.stem_outputs)
        yield max(_map(self.size, COLOURS), stem, *outputs[0::2], 2 * vector * self.width)
        yield max(_map(self.stem_side // 2, self.stem_outputs), *outputs[1::2])
        inner = max(
            _map(self.stem_side, self.stem_inner),
            *(_map(block.side, block.inner) for block in stages),
            FLOAT * room(self.tokens) * 2 * self.width,
            vector * self.embedding_dim,
        )
        yield from (inner, inner)

    def _products(self) -> Iterator[tuple[int, int]]:
        """Rows and inputs."""
        yield self.stem_side**2, NEIGHBOURS * COLOURS
        yield self.stem_side**2, NEIGHBOURS * self.stem_inner
        for block in self.bottlenecks:
            yield block.side**2, block.inputs
            yield block.side**2, NEIGHBOURS * block.inner
        yield self.tokens, self.width


def _map(side: int, channels: int) -> int:
    return FLOAT * room(side**2) * channels


def _strip_rows(inputs: int) -> int:
    return 8 * max(1, STRIP_BYTES // (up(inputs, INPUTS) * FLOAT * 8))
