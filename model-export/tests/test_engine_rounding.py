"""Rounding by the inputs (GPTQ): what it gains, and what it must leave as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from clip_export.engine import rounding as engine_rounding
from clip_export.engine.linear import LANE, SIGNED_ZERO, lane_sums, pack_linear, to_nearest, unpack_linear
from clip_export.engine.rounding import rounding

OUTPUTS, INPUTS = 24, 160
"""inputs of more than one block"""


def weights(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    weight = np.random.default_rng(seed).normal(size=(OUTPUTS, INPUTS)).astype(np.float32)
    return weight, (np.abs(weight).max(axis=1) / 127).astype(np.float32)


def correlated(rows: int, seed: int) -> np.ndarray:
    """[rows, INPUTS]: 20 causes behind all inputs, the same for every seed, and some noise."""
    causes = np.random.default_rng(99).normal(size=(20, INPUTS))
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, 20)) @ causes + 0.1 * random.normal(size=(rows, INPUTS))).astype(np.float32)


def gram(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.T @ x)


def error(codes: np.ndarray, weight: np.ndarray, scale: np.ndarray, x: np.ndarray) -> float:
    """How far the outputs are from those of the float weights, as a share."""
    return float(np.linalg.norm(x @ (codes * scale[:, None] - weight).T) / np.linalg.norm(x @ weight.T))


def test_outputs_of_correlated_inputs_move_less() -> None:
    weight, scale = weights()
    codes = rounding(gram(correlated(500, 1)))(weight, scale)
    assert codes.dtype == np.int8
    assert np.abs(codes.astype(int)).max() <= 127
    fresh = correlated(500, 2)
    assert error(codes, weight, scale, fresh) < 0.6 * error(to_nearest(weight, scale), weight, scale, fresh)


def test_inputs_that_do_not_vary_together_are_rounded_to_nearest() -> None:
    weight, scale = weights()
    assert np.array_equal(rounding(torch.eye(INPUTS))(weight, scale), to_nearest(weight, scale))
    energies = torch.from_numpy(np.random.default_rng(1).uniform(0.01, 100, INPUTS).astype(np.float32))
    assert np.array_equal(rounding(torch.diag(energies))(weight, scale), to_nearest(weight, scale))


@pytest.mark.parametrize("unit", [2.0**-9, 0.0123])
def test_whole_numbers_times_a_scale_come_back(unit: float) -> None:
    values = np.random.default_rng(3).integers(-127, 128, (OUTPUTS, INPUTS))
    scale = np.full(OUTPUTS, unit, np.float32)
    weight = (values * scale[:, None]).astype(np.float32)
    assert np.array_equal(rounding(gram(correlated(300, 4)))(weight, scale), values)


def without_blocks(weight: np.ndarray, scale: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """The paper's loop as it stands, one input at a time (Frantar et al. 2022, equations 2 and 3)."""
    order = np.argsort(-energy.diagonal(), kind="stable")
    left = energy[order][:, order].astype(np.float64)
    left += np.eye(INPUTS) * engine_rounding.DAMPING * left.diagonal().mean()
    inverse, rest = np.linalg.inv(left), weight[:, order].astype(np.float64)
    codes = np.zeros_like(rest)
    for i in range(INPUTS):
        codes[:, i] = np.rint(rest[:, i] / scale).clip(-127, 127)
        missed = (rest[:, i] - codes[:, i] * scale) / inverse[i, i]
        rest[:, i + 1 :] -= np.outer(missed, inverse[i, i + 1 :])
        inverse -= np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    back = np.zeros_like(codes)
    back[:, order] = codes
    return back


@pytest.mark.parametrize("block", [1, 7, 128])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(engine_rounding, "BLOCK", block)
    weight, scale = weights()
    seen = gram(correlated(500, 1))
    made, expected = rounding(seen)(weight, scale), without_blocks(weight, scale, seen.numpy())
    assert (made != expected).mean() < 1e-3  # a tie may fall either way


def test_the_order_of_inputs_does_not_matter() -> None:
    weight, scale = weights()
    seen = correlated(500, 1)
    order = np.random.default_rng(5).permutation(INPUTS)
    straight = rounding(gram(seen))(weight, scale)
    turned = rounding(gram(seen[:, order]))(np.ascontiguousarray(weight[:, order]), scale)
    assert (turned != straight[:, order]).mean() < 1e-3


def test_a_row_is_rounded_alike_in_any_company() -> None:
    weight, scale = weights()
    by = rounding(gram(correlated(500, 1)))
    assert np.array_equal(by(weight[3:7], scale[3:7]), by(weight, scale)[3:7])


def dead(x: np.ndarray) -> np.ndarray:
    """Inputs that are always zero."""
    return np.where(np.arange(INPUTS) % 5 == 0, 0, x)


def doubled(x: np.ndarray) -> np.ndarray:
    """Each second input is the same as the one before it."""
    return np.repeat(x[:, ::2], 2, axis=1)


def single(x: np.ndarray) -> np.ndarray:
    return x[:1]


@pytest.mark.parametrize("change", [dead, doubled, single])
def test_inputs_that_leave_the_gram_singular(change: Callable[[np.ndarray], np.ndarray]) -> None:
    weight, scale = weights()
    seen = change(correlated(400, 1))
    assert np.linalg.matrix_rank(seen) < INPUTS
    codes, nearest = rounding(gram(seen))(weight, scale), to_nearest(weight, scale)
    assert error(codes, weight, scale, seen) < 0.6 * error(nearest, weight, scale, seen)
    white = np.random.default_rng(6).normal(size=(200, INPUTS)).astype(np.float32)  # nothing that was fitted to
    assert error(codes, weight, scale, white) < 4 * error(nearest, weight, scale, white)


@pytest.mark.parametrize("energy", [0, 1e-30])
def test_inputs_of_hardly_any_energy(energy: float) -> None:
    weight, scale = weights()
    assert np.array_equal(rounding(energy * torch.eye(INPUTS))(weight, scale), to_nearest(weight, scale))


def test_an_input_that_was_always_zero_is_rounded_to_nearest() -> None:
    weight, scale = weights()
    codes = rounding(gram(dead(correlated(500, 1))))(weight, scale)
    assert np.array_equal(codes[:, ::5], to_nearest(weight, scale)[:, ::5])


def test_lanes_fit_when_rounded_by_the_inputs() -> None:
    weight = np.abs(weights()[0]) + np.float32(2)  # of one sign: every lane is too full at first
    by = rounding(gram(correlated(500, 1)))
    tensors = pack_linear("x", weight, SIGNED_ZERO, by)
    packed = unpack_linear(tensors, "x", INPUTS)
    assert lane_sums(to_nearest(weight, np.abs(weight).max(axis=1) / 127)).min() > LANE
    assert lane_sums(packed.codes).max() <= LANE
    assert np.array_equal(packed.codes, by(weight, packed.scale))
    fresh = correlated(500, 2)
    nearest = to_nearest(weight, packed.scale)
    assert error(packed.codes, weight, packed.scale, fresh) < error(nearest, weight, packed.scale, fresh)
