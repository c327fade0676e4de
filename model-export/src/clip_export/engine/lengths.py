"""How long things are in the engine's memory and in its files, in bytes or rows."""

from __future__ import annotations

from collections.abc import Iterator

from .linear import GROUP, INPUTS

FLOAT = 4


def up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple


def room(rows: int) -> int:
    """Rows with those past the last that the kernels write (src/engine/operations.ts, roomFor)."""
    return up(rows + 3, 8)


def attention_buffers(tokens: int, head: int) -> Iterator[int]:
    """src/engine/buffers.ts, planAttention. `head`: its width."""
    rows = room(tokens)
    yield from [rows * head * 2, rows * 4] * 2
    yield from (32, 24 * rows + 8 * head + 64)


def linear_tensors(outputs: int, inputs: int, fast: bool = False) -> Iterator[int]:
    """engine/linear.py; with a bias, which some have not."""
    yield outputs * up(inputs, INPUTS)
    yield from [FLOAT * outputs] * 2
    if fast and inputs % INPUTS == 0:
        yield FLOAT * outputs * -(-inputs // GROUP)
