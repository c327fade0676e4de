"""Chooses which linears of an encoder take the fast product, so that a stated parity holds at the least time.

On three quarters of the calibration data are measured: the ranges of every linear's inputs (what engine/folding.py
folds by), how they vary together (what engine/rounding.py rounds by), and what each linear costs in parity if it alone
is fast.
Those that cost least for the time that they save become fast, as many as the parity seems to allow. On the last quarter
the packed encoder is compared with the float one; until the mean and the worst cosine are what was asked for, the
dearest of the fast linears becomes exact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from ..progress import Track, silent, under
from .folding import Range, fold
from .linear import INPUTS, PackedLinear, pack_linears, zero_of
from .reference import EngineEncoder, Linears, fast_product, float_encoder
from .rounding import rounding
from .samples import CalibrationData, Samples, watching
from .weights import Tensors, Tower

BLOCK_LINEARS = ("qkv", "out", "fc1", "fc2")
FOR_ACTIVATIONS = 0.9
"""of the error that the goal allows; the rest is the rounding of weights. Where it is more, a linear less is fast."""


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
class Observed:
    """An encoder, inputs of it, and the ranges that these give to the inputs of each linear."""

    tower: Tower
    samples: Samples
    ranges: dict[str, Range]


@dataclass(frozen=True)
class Calibrated:
    """An encoder for its file, the linears that its manifest calls fast, and what was reached on the data compared."""

    tensors: Tensors
    fast: list[str]
    linears: int
    """of the blocks, fast or not"""
    share: float
    """of these linears' multiplications that are fast"""
    cosines: np.ndarray


@torch.inference_mode()
def calibrate(tower: Tower, data: CalibrationData, goal: Goal, track: Track = silent) -> Calibrated:
    """Where no linear may be fast, all are exact, also if that is not near enough to the float encoder."""
    observed = observe(tower, data.fit, track)
    candidates = fast_candidates(tower)
    costs = sensitivities(observed, candidates, track)
    reference = data.check.through(float_encoder(tower))
    time = multiplications(tower)
    candidates.sort(key=lambda name: costs[name] / time[name])  # the first are worth most
    budget = FOR_ACTIVATIONS * goal.margin * (1 - goal.mean)
    most = int(np.searchsorted(np.cumsum([costs[name] for name in candidates]), budget, side="right"))
    for count in range(most, -1, -1):
        fast = sorted(candidates[:count])
        made = pack(observed, fast, under(f"try {most - count + 1} with {count} fast", track))
        cosines = cosine_similarity(data.check.through(EngineEncoder(made, tower.architecture)), reference).numpy()
        if goal.met_by(cosines):
            break
    return Calibrated(made, fast, len(time), sum(time[name] for name in fast) / sum(time.values()), cosines)


def all_fast(tower: Tower, samples: Samples, track: Track = silent) -> tuple[Tensors, list[str]]:
    """The file's tensors and fast linears, if all that can be are fast and every weight is rounded by itself."""
    fast = fast_candidates(tower)
    folded = fold(tower, observe(tower, samples, track).ranges, fast)
    return pack_linears(folded.tensors, fast, track=track), fast


def block_linears(architecture: dict[str, Any]) -> list[str]:
    return [f"layers.{i}.{kind}" for i in range(architecture["layers"]) for kind in BLOCK_LINEARS]


def fast_candidates(tower: Tower) -> list[str]:
    """The linears of the blocks that the fast product can take."""
    names = block_linears(tower.architecture)
    return [name for name in names if tower.tensors[f"{name}.weight"].shape[1] % INPUTS == 0]


def multiplications(tower: Tower) -> dict[str, float]:
    """Of every linear of the blocks, for one token of the input."""
    names = block_linears(tower.architecture)
    return {name: tower.tensors[f"{name}.weight"].size * share_of_tokens(name, tower.architecture) for name in names}


def share_of_tokens(name: str, architecture: dict[str, Any]) -> float:
    """Of how many tokens a linear's outputs are computed: in the last block of one, and it may as well be exact."""
    last = f"layers.{architecture['layers'] - 1}."
    pooled_alone = architecture["pooling"] in ("cls", "first-eot", "last")
    return 0.01 if pooled_alone and name.startswith(last) and not name.endswith("qkv") else 1


def observe(tower: Tower, samples: Samples, track: Track = silent) -> Observed:
    """Ranges are by channel, of every linear of the encoder."""
    ranges: dict[str, Range] = {}

    def see(name: str, rows: torch.Tensor) -> None:
        lowest, highest = rows.amin(0).numpy(), rows.amax(0).numpy()
        if name in ranges:
            lowest, highest = np.minimum(lowest, ranges[name].lowest), np.maximum(highest, ranges[name].highest)
        ranges[name] = Range(lowest, highest)

    encoder = float_encoder(tower)
    with watching(encoder, see):
        for batch in track(samples.batches, "ranges of inputs"):
            samples.embed(encoder, batch)
    return Observed(tower, samples, ranges)


def sensitivities(observed: Observed, candidates: Sequence[str], track: Track = silent) -> dict[str, float]:
    """1 - cosine, on the mean, if only the inputs of one linear are rounded to 7 bits."""
    folded, samples = fold(observed.tower, observed.ranges, candidates), observed.samples.few()
    encoder = float_encoder(folded)
    plain = encoder.linear
    reference = samples.through(encoder)
    costs = {}
    for name in track(candidates, "cost of each linear"):
        encoder.linear = _one_fast(plain, folded.tensors, name)
        costs[name] = float((1 - cosine_similarity(samples.through(encoder), reference)).mean())
    return costs


def _one_fast(plain: Linears, tensors: Tensors, name: str) -> Linears:
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    linear = PackedLinear(weight, np.ones(len(weight), np.float32), bias, zero_of(tensors, name))
    return lambda asked, x: fast_product(x, linear) + torch.from_numpy(bias) if asked == name else plain(asked, x)


def pack(observed: Observed, fast: Collection[str], track: Track = silent) -> Tensors:
    """Folded for the linears in `fast`, rounded by what the samples are like, packed."""
    folded = fold(observed.tower, observed.ranges, fast)
    grams: dict[str, torch.Tensor] = {}

    def see(name: str, rows: torch.Tensor) -> None:
        grams[name] = grams.get(name, 0) + rows.T @ rows

    encoder = float_encoder(folded)
    with watching(encoder, see):
        for batch in track(observed.samples.batches, "inputs"):
            observed.samples.embed(encoder, batch)
    return pack_linears(folded.tensors, fast, lambda name: rounding(grams[name]), track)
