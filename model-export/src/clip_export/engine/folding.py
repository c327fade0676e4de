"""Prepares an encoder for activations of 7 bits, without changing what it computes (in exact arithmetic).

- Equalisation (Xiao et al. 2022, SmoothQuant): an input that ranges far is divided by a factor, its weights are
  multiplied by it. The factor is the square root of (the input's range / its largest weight). It is folded into what
  makes the input: a layer norm's weight and bias, the rows of V, or a factor after the activation.
- Centring: of a layer norm's outputs the middle of the range is subtracted, in its bias, and made good in the linear's.
- An activation's output is never negative after its floor is added; the linear's bias takes that off again. The hidden
  channels are sorted by their range, so that those in a group of 128, which share a scale, are alike.

Of tiny-64, with all of it, a fast fc2 costs a fifth of what it would cost without.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from .weights import Tensors, Tower

FLOOR = np.float32(0.171)
"""src/engine/assembly/simd.ts has it too: no activation goes below -FLOOR"""
FC2_SHARE = 0.4
"""how much of a hidden channel's range its factor takes; measured: 0.3 to 0.5 are alike, 0.6 is worse"""
SHARE = 0.5


@dataclass(frozen=True)
class Range:
    """Of a linear's inputs on the calibration data."""

    lowest: np.ndarray
    """[K]"""
    highest: np.ndarray


def fold(tower: Tower, ranges: Mapping[str, Range], fast: Collection[str]) -> Tower:
    """The same encoder, with every block's linears prepared; `ranges` has all of them.

    Those in `fast` that are `fc2` come with a `factor`; other ones stay what they are beside.
    """
    folded = dict(tower.tensors)
    for name in (f"layers.{i}" for i in range(tower.architecture["layers"])):
        _fold_out(folded, name, ranges[f"{name}.out"])
        for norm, linear in (("norm1", "qkv"), ("norm2", "fc1")):
            _fold_norm(folded, f"{name}.{norm}", f"{name}.{linear}", ranges[f"{name}.{linear}"])
        if f"{name}.fc2" in fast:
            _fold_hidden(folded, name, ranges[f"{name}.fc2"])
    return replace(tower, tensors={name: folded[name] for name in _in_order(tower.tensors) if name in folded})


def _in_order(tensors: Tensors) -> list[str]:
    """The file's names, in the order of use; a factor stands before its linear."""
    names: list[str] = []
    for name in tensors:
        if name.endswith(".fc2.weight"):
            names.append(name.removesuffix("weight") + "factor")
        names.append(name)
    return names


def _factors(reach: np.ndarray, weight: np.ndarray, share: float = SHARE) -> np.ndarray:
    """[K], by what the inputs are divided. `reach`: [K], their largest magnitudes."""
    largest = np.abs(weight).max(axis=0)
    factors = np.maximum(reach, 1e-5) ** share / np.maximum(largest, 1e-5) ** (1 - share)
    return (factors / np.exp(np.log(factors).mean())).astype(np.float32)


def _fold_out(tensors: Tensors, name: str, inputs: Range) -> None:
    """The attention's output is a mean of rows of V: what divides V divides it."""
    weight = tensors[f"{name}.out.weight"]
    factors = _factors(np.maximum(np.abs(inputs.lowest), np.abs(inputs.highest)), weight)
    values = slice(2 * len(factors), None)  # of the rows of qkv
    for key, divisor in ((f"{name}.qkv.weight", factors[:, None]), (f"{name}.qkv.bias", factors)):
        tensors[key] = tensors[key].copy()
        tensors[key][values] /= divisor
    tensors[f"{name}.out.weight"] = weight * factors


def _fold_norm(tensors: Tensors, norm: str, linear: str, inputs: Range) -> None:
    weight = tensors[f"{linear}.weight"]
    middle = (inputs.highest + inputs.lowest) / 2
    factors = _factors((inputs.highest - inputs.lowest) / 2, weight)
    tensors[f"{norm}.weight"] = tensors[f"{norm}.weight"] / factors
    tensors[f"{norm}.bias"] = (tensors[f"{norm}.bias"] - middle) / factors
    tensors[f"{linear}.bias"] = tensors[f"{linear}.bias"] + weight @ middle
    tensors[f"{linear}.weight"] = weight * factors


def _fold_hidden(tensors: Tensors, name: str, inputs: Range) -> None:
    weight = tensors[f"{name}.fc2.weight"]
    reach = inputs.highest + FLOOR
    factors = _factors(reach, weight, FC2_SHARE)
    order = np.argsort(reach / factors)
    tensors[f"{name}.fc1.weight"] = tensors[f"{name}.fc1.weight"][order]
    tensors[f"{name}.fc1.bias"] = tensors[f"{name}.fc1.bias"][order]
    tensors[f"{name}.fc2.factor"] = (1 / factors)[order]
    tensors[f"{name}.fc2.weight"] = np.ascontiguousarray((weight * factors)[:, order])
    tensors[f"{name}.fc2.bias"] = tensors[f"{name}.fc2.bias"] - FLOOR * weight.sum(axis=1)
