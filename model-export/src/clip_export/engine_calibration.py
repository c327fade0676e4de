"""Chooses which linears of an encoder take the fast product, so that a stated parity holds at the least time.

On one half of the calibration data are measured: the ranges of every linear's inputs (what engine_folding.py folds by),
how they vary together (what engine_rounding.py rounds by), and what each linear costs in parity if it alone is fast. On
the other half the packed encoder is compared with the float one: all linears begin fast, and those that cost most for
the time that they save become exact, until the mean and the worst cosine are what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from .engine_folding import Range, fold
from .engine_linear import INPUTS, PackedLinear, pack_linears, zero_of
from .engine_reference import EngineEncoder, FloatLinears, Linears, PackedLinears, fast_product
from .engine_rounding import rounding
from .engine_weights import Tensors
from .progress import Track, silent

BATCH = 50
BLOCK_LINEARS = ("qkv", "out", "fc1", "fc2")
FOR_ACTIVATIONS = 0.75
"""of the error that the goal allows; the rest is the rounding of weights. Where it is more, a linear less is fast."""
FEW = 64
"""samples on which the cost of single linears is measured"""


@dataclass(frozen=True)
class Goal:
    """Cosines to the float encoder, over the calibration data that nothing was fitted to."""

    mean: float = 0.9999
    margin: float = 0.58
    """How much of what the goal allows is used: other data are worse, above all their worst."""

    @property
    def worst(self) -> float:
        """Five times as far from 1 as the mean."""
        return 1 - 5 * (1 - self.mean)

    def met_by(self, cosines: np.ndarray) -> bool:
        mean, worst = (1 - cosines.mean()), (1 - cosines.min())
        return mean <= self.margin * (1 - self.mean) and worst <= self.margin * (1 - self.worst)


@dataclass(frozen=True)
class Samples:
    """Inputs of one encoder, and how it is asked."""

    batches: Sequence[torch.Tensor]
    embed: Callable[[EngineEncoder, torch.Tensor], torch.Tensor]

    def through(self, encoder: EngineEncoder) -> torch.Tensor:
        """[n, dim]"""
        return torch.cat([self.embed(encoder, batch) for batch in self.batches])

    def few(self) -> Samples:
        """About FEW of them, of every batch some."""
        total = sum(len(batch) for batch in self.batches)
        step = max(1, total // FEW)
        return Samples([batch[::step] for batch in self.batches], self.embed)


@dataclass(frozen=True)
class CalibrationData:
    """What is fitted to, and what is compared."""

    fit: Samples
    check: Samples


@dataclass(frozen=True)
class Calibrated:
    """An encoder for its file, the linears that its manifest calls fast, and what was reached on the data compared."""

    tensors: Tensors
    fast: list[str]
    cosines: np.ndarray


def image_samples(pixels: np.ndarray) -> CalibrationData:
    """[n, 3, size, size]"""

    def samples(images: np.ndarray) -> Samples:
        batches = [torch.from_numpy(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
        return Samples(batches, lambda encoder, batch: encoder.embed_images(batch))

    return CalibrationData(samples(pixels[::2].copy()), samples(pixels[1::2].copy()))


def text_samples(ids: Sequence[Sequence[int]], end_of_text: int, pad_id: int | None = None) -> CalibrationData:
    """Texts at their own lengths, start and end token included."""

    def samples(texts: Sequence[Sequence[int]]) -> Samples:
        by_length: dict[int, list[Sequence[int]]] = {}
        for text in texts:
            by_length.setdefault(len(text), []).append(text)
        batches = [torch.tensor(rows) for _, rows in sorted(by_length.items())]
        return Samples(batches, lambda encoder, batch: encoder.embed_texts(batch, end_of_text, pad_id))

    return CalibrationData(samples(ids[::2]), samples(ids[1::2]))


@torch.inference_mode()
def calibrate(
    tensors: Tensors, architecture: dict[str, Any], data: CalibrationData, goal: Goal, track: Track = silent
) -> Calibrated:
    """`tensors`: the encoder in float (engine_weights.py)."""
    encoder = EngineEncoder(tensors, architecture, FloatLinears(tensors))
    ranges = input_ranges(encoder, data.fit, track)
    candidates = fast_candidates(tensors, architecture)
    costs = sensitivities(tensors, architecture, ranges, data.fit.few(), candidates, track)
    reference = data.check.through(encoder)
    macs = {name: tensors[f"{name}.weight"].size * share_of_tokens(name, architecture) for name in candidates}
    candidates.sort(key=lambda name: costs[name] / macs[name])  # the first are worth most
    budget = FOR_ACTIVATIONS * goal.margin * (1 - goal.mean)
    count = int(np.searchsorted(np.cumsum([costs[name] for name in candidates]), budget, side="right"))
    while True:
        fast = sorted(candidates[:count])
        made = pack(tensors, architecture, ranges, fast, data.fit, track)
        packed = EngineEncoder(made, architecture, PackedLinears(made))
        cosines = nn.functional.cosine_similarity(data.check.through(packed).double(), reference.double()).numpy()
        if goal.met_by(cosines) or count == 0:
            return Calibrated(made, fast, cosines)
        count -= 1


def fast_candidates(tensors: Tensors, architecture: dict[str, Any]) -> list[str]:
    """The linears of the blocks that the fast product can take."""
    names = [f"layers.{i}.{kind}" for i in range(architecture["layers"]) for kind in BLOCK_LINEARS]
    return [name for name in names if tensors[f"{name}.weight"].shape[1] % INPUTS == 0]


def share_of_tokens(name: str, architecture: dict[str, Any]) -> float:
    """Of how many tokens a linear's outputs are computed: in the last block of one, and it may as well be exact."""
    last = f"layers.{architecture['layers'] - 1}."
    pooled_alone = architecture["pooling"] in ("cls", "first-eot", "last")
    return 0.01 if pooled_alone and name.startswith(last) and not name.endswith("qkv") else 1


def input_ranges(encoder: EngineEncoder, samples: Samples, track: Track = silent) -> dict[str, Range]:
    """Of every linear of the encoder, by channel."""
    ranges: dict[str, Range] = {}

    def see(name: str, x: torch.Tensor) -> None:
        rows = x.reshape(-1, x.shape[-1])
        lowest, highest = rows.amin(0).numpy(), rows.amax(0).numpy()
        if name in ranges:
            lowest, highest = np.minimum(lowest, ranges[name].lowest), np.maximum(highest, ranges[name].highest)
        ranges[name] = Range(lowest, highest)

    _watch(encoder, samples, see, track, "calibration: ranges")
    return ranges


def sensitivities(
    tensors: Tensors,
    architecture: dict[str, Any],
    ranges: dict[str, Range],
    samples: Samples,
    candidates: Sequence[str],
    track: Track,
) -> dict[str, float]:
    """1 - cosine, on the mean, if only the inputs of one linear are rounded to 7 bits."""
    folded = fold(tensors, architecture["layers"], ranges, candidates)
    plain = FloatLinears(folded)
    encoder = EngineEncoder(folded, architecture, plain)
    reference = samples.through(encoder).double()
    costs = {}
    for name in track(candidates, "calibration: linears"):
        encoder.linear = _one_fast(plain, folded, name)
        costs[name] = float((1 - nn.functional.cosine_similarity(samples.through(encoder).double(), reference)).mean())
    return costs


def _one_fast(plain: Linears, tensors: Tensors, name: str) -> Linears:
    weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
    linear = PackedLinear(weight, np.ones(len(weight), np.float32), bias, zero_of(tensors, name))
    return lambda asked, x: fast_product(x, linear) + torch.from_numpy(bias) if asked == name else plain(asked, x)


def pack(
    tensors: Tensors,
    architecture: dict[str, Any],
    ranges: dict[str, Range],
    fast: Collection[str],
    samples: Samples,
    track: Track = silent,
) -> Tensors:
    """Folded for the linears in `fast`, rounded by what the samples are like, packed."""
    folded = fold(tensors, architecture["layers"], ranges, fast)
    grams: dict[str, torch.Tensor] = {}

    def see(name: str, x: torch.Tensor) -> None:
        rows = x.reshape(-1, x.shape[-1])
        grams[name] = grams.get(name, 0) + rows.T @ rows

    _watch(EngineEncoder(folded, architecture, FloatLinears(folded)), samples, see, track, "calibration: inputs")
    return pack_linears(folded, fast, lambda name: rounding(grams[name]), track)


def _watch(
    encoder: EngineEncoder, samples: Samples, see: Callable[[str, torch.Tensor], None], track: Track, what: str
) -> None:
    """Shows `see` the inputs of every linear."""
    plain = encoder.linear

    def watched(name: str, x: torch.Tensor) -> torch.Tensor:
        see(name, x)
        return plain(name, x)

    encoder.linear = watched
    for batch in track(samples.batches, what):
        samples.embed(encoder, batch)
    encoder.linear = plain
