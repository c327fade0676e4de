"""How a linear `X` with N outputs and K inputs lies in an engine's file, for either product.

Exact: activations are int16 (src/engine/assembly/linear.ts).
- `X.weight` I8 [N/8, K'/2, 8, 2]: element [p, k, c, j] is the weight of output 8p + c for input 2k + j, -127..127; one
  16-byte vector is thus 8 outputs x 2 inputs. K' is K rounded up to a multiple of 16, the added inputs are zeros.

Fast: activations are codes 0..127, in groups of 128 inputs with a scale of their own (src/engine/assembly/fast.ts).
- `X.weight` I8 [N/8, K/4, 8, 4]: element [p, k, c, j] is the weight of output 8p + c for input 4k + j. K is a multiple
  of 16. Two steps of two products are added up in int16, so a row's scale is raised until in each of those lanes the
  positive weights sum to at most 258, and the negative ones to at least -258.
- `X.start` I32 [groups, N]: -zero * the sum of the group's weights, where `zero` is the code of 0.

Both:
- `X.scale` F32 [N]: a weight is int8 times its output's scale, max|w| / 127 (or more, see above). It was compared with
  a search for the clipping that minimises the rounding error (41 factors from 1 to 0.6, by the squares and by the
  power 2.4): on 500 photos and 426 texts of tiny-64 a tie; the simplest is also the one that makes int8 weights times
  a scale come back exactly, which the golden files need.
- `X.bias` F32 [N], absent where the layer has none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ..progress import Track, silent
from .architecture import PANEL
from .weights import Tensors

INPUTS = 16
"""inputs are padded with zeros to a multiple of this; the fast product takes only multiples of it"""
GROUP = 128
"""inputs of the fast product that share a scale"""
LANE = 258
"""the most that a lane's weights of one sign may sum to: 258 * 127 is an int16"""
SIGNED_ZERO = 64
"""the code of 0 where inputs have both signs; where they come with a factor none is negative, and it is 0"""

Round = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""[N, K] weights and [N] scales -> whole numbers -127..127 [N, K], as int8"""


@dataclass(frozen=True)
class PackedLinear:
    """A linear read back from a file's tensors."""

    codes: np.ndarray
    """int8 [N, K]"""
    scale: np.ndarray
    bias: np.ndarray | None
    zero: int | None
    """the code of 0 in the fast product; None: the product is the exact one"""


def to_nearest(weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Each weight by itself."""
    return np.rint(weight / scale[:, None]).clip(-127, 127).astype(np.int8)


def pack_linears(
    tensors: Tensors,
    fast: Collection[str] = (),
    rounding: Callable[[str], Round] = lambda name: to_nearest,
    track: Track = silent,
) -> Tensors:
    """A float encoder as the engine's file has it: every linear packed, those named in `fast` for the fast product.

    `rounding`: how to round a linear's weights, by its name.
    """
    packed: Tensors = {}
    for key, values in track(list(tensors.items()), "rounding weights"):
        name = key.rpartition(".")[0]
        if is_linear(key, values):
            zero = zero_of(tensors, name) if name in fast else None
            packed |= pack_linear(name, values, zero, rounding(name))
        else:
            packed[key] = values
    return packed


def is_linear(key: str, values: np.ndarray) -> bool:
    """Whether a tensor of a float encoder is the weight of a linear."""
    return key.endswith(".weight") and values.ndim == 2 and values.dtype == np.float32


def zero_of(tensors: Mapping[str, np.ndarray], name: str) -> int:
    """The code of 0 of a linear in the fast product."""
    return 0 if f"{name}.factor" in tensors else SIGNED_ZERO


def pack_linear(name: str, weight: np.ndarray, zero: int | None = None, round_weights: Round = to_nearest) -> Tensors:
    """`name`.weight, .scale and, for the fast product, .start."""
    scale = np.maximum(np.abs(weight).max(axis=1), 1e-12).astype(np.float32) / np.float32(127)
    codes = round_weights(weight, scale)
    if zero is None:
        return {f"{name}.weight": pack(codes, 2), f"{name}.scale": scale}
    while (high := lane_sums(codes) > LANE).any():
        scale[high] *= np.maximum(1.005, 0.99 * lane_sums(codes[high]) / LANE).astype(np.float32)
        codes[high] = round_weights(weight[high], scale[high])
    return {f"{name}.weight": pack(codes, 4), f"{name}.start": starts(codes, zero), f"{name}.scale": scale}


def unpack_linear(tensors: Mapping[str, np.ndarray], name: str, inputs: int) -> PackedLinear:
    """What `pack_linear` was given, from the tensors of a file."""
    fast = f"{name}.start" in tensors
    codes = unpack(tensors[f"{name}.weight"], inputs)
    zero = zero_of(tensors, name) if fast else None
    return PackedLinear(codes, tensors[f"{name}.scale"], tensors.get(f"{name}.bias"), zero)


def pack(codes: np.ndarray, step: int) -> np.ndarray:
    """int8 [N, K] -> int8 [N/8, K'/step, 8, step], K' the next multiple of 16. N must be a multiple of 8."""
    outputs, inputs = codes.shape
    padded = np.pad(codes, ((0, 0), (0, -inputs % INPUTS)))
    return np.ascontiguousarray(padded.reshape(outputs // PANEL, PANEL, -1, step).transpose(0, 2, 1, 3))


def unpack(panels: np.ndarray, inputs: int) -> np.ndarray:
    """int8 [N/8, K'/step, 8, step] -> int8 [N, inputs]: what `pack` was given."""
    return np.ascontiguousarray(panels.transpose(0, 2, 1, 3)).reshape(len(panels) * PANEL, -1)[:, :inputs]


def starts(codes: np.ndarray, zero: int) -> np.ndarray:
    """int8 [N, K] -> int32 [groups, N]"""
    firsts = range(0, codes.shape[1], GROUP)
    sums = [codes[:, first : first + GROUP].sum(axis=1, dtype=np.int32) for first in firsts]
    return -zero * np.stack(sums)


def lane_sums(codes: np.ndarray) -> np.ndarray:
    """int8 [N, K] -> [N], the largest sum of weights of one sign in a lane: inputs 8i + 2j + {0, 1, 4, 5}, j = 0, 1."""
    lanes = codes.astype(np.int32).reshape(len(codes), -1, 2, 2, 2)  # [N, K/8, step, j, neighbour]
    positive = np.maximum(lanes, 0).sum(axis=(2, 4))
    negative = np.maximum(-lanes, 0).sum(axis=(2, 4))
    return np.maximum(positive, negative).max(axis=(1, 2))
