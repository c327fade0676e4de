"""Temperature and Platt scaling, against torch's LBFGS on torch's own losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from clip_export.errors import ExportError
from clip_export.temperature import COLDEST, HOTTEST, Platt, fit_platt, fit_temperature, halves


def minimise(loss: Callable[[], torch.Tensor], parameters: torch.Tensor) -> None:
    """Moves the parameters to where torch's LBFGS finds the least loss."""
    exactly = {"tolerance_grad": 1e-12, "tolerance_change": 1e-15, "line_search_fn": "strong_wolfe"}
    optimiser = torch.optim.LBFGS([parameters], max_iter=500, **exactly)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value.detach()

    optimiser.step(closure)


def sampled(temperature: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """6,000 photos of 10 labels whose true scores are softmax(logits / temperature)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 4, (6000, 10))
    noise = random.gumbel(size=logits.shape)
    return logits, (logits / temperature + noise).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 20.0])
def test_temperature(temperature: float) -> None:
    logits, truth = sampled(temperature, seed=1)
    fitted = fit_temperature(logits, truth)
    assert fitted == pytest.approx(temperature, rel=0.15)
    logarithm = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    z, y = torch.from_numpy(logits), torch.from_numpy(truth)
    minimise(lambda: torch.nn.functional.cross_entropy(z * torch.exp(-logarithm), y), logarithm)
    assert fitted == pytest.approx(torch.exp(logarithm).item(), rel=1e-6)


def test_temperature_of_large_logits() -> None:
    logits, truth = sampled(1.0, seed=2)
    assert fit_temperature(1e4 * logits + 1e6, truth) == HOTTEST  # the best, 10,000, is out of range
    assert fit_temperature(50 * logits + 1e6, truth) == pytest.approx(50 * fit_temperature(logits, truth), rel=1e-6)


def test_temperature_has_limits() -> None:
    logits = np.array([[3.0, 1.0], [0.0, 2.0]])
    assert fit_temperature(logits, np.array([0, 1])) == COLDEST
    assert fit_temperature(logits, np.array([1, 0])) == HOTTEST


def test_logits_that_say_nothing_keep_their_temperature() -> None:
    assert fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == pytest.approx(1)


@pytest.mark.parametrize(
    ("logits", "truth", "message"),
    [
        (np.zeros((2, 3)), np.array([0]), "n labels"),
        (np.zeros((0, 3)), np.zeros(0, int), "n labels"),
        (np.array([[0.0, np.nan]]), np.array([0]), "finite"),
        (np.zeros((1, 3)), np.array([3]), "among the 3"),
    ],
)
def test_what_no_temperature_fits(logits: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        fit_temperature(logits, truth)


@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (0.4, -2.0), (6.0, 3.0), (-0.5, 1.0)])
def test_platt(scale: float, bias: float) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(-8, 3, (1500, 5))  # a SigLIP's logits are far below 0
    score = 1 / (1 + np.exp(-(scale * (logits + 8) + bias)))
    positive = random.random(logits.shape) < score
    fitted = fit_platt(logits, positive)
    assert fitted.scale == pytest.approx(scale, rel=0.15)
    right, wrong = positive.sum(), (~positive).sum()
    targets = torch.from_numpy(np.where(positive, (right + 1) / (right + 2), 1 / (wrong + 2)))
    found = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # of the logits moved to 0, where LBFGS sees well
    z = torch.from_numpy(logits + 8)
    minimise(lambda: torch.nn.functional.binary_cross_entropy_with_logits(z * found[0] + found[1], targets), found)
    a, b = found.tolist()
    assert fitted.scale == pytest.approx(a, rel=1e-5)
    assert fitted.bias == pytest.approx(b + 8 * a, rel=1e-5, abs=1e-4)
    np.testing.assert_allclose(fitted.logits(logits), fitted.scale * logits + fitted.bias)


def test_platt_of_pairs_that_one_threshold_parts() -> None:
    fitted = fit_platt(np.array([[-5.0, 4.0], [4.0, -5.0]]), np.array([[False, True], [True, False]]))
    scores = 1 / (1 + np.exp(-fitted.logits(np.array([-5.0, 4.0]))))
    assert np.isfinite([fitted.scale, fitted.bias]).all()
    np.testing.assert_allclose(scores, [1 / 4, 3 / 4])  # Platt's targets for two and two


def test_platt_of_one_kind() -> None:
    with pytest.raises(ExportError, match="4 and 0"):
        fit_platt(np.zeros((2, 2)), np.ones((2, 2), bool))
    with pytest.raises(ExportError, match="finite"):
        fit_platt(np.array([np.inf, 0]), np.array([True, False]))
    assert Platt(2.0, -1.0).logits(np.array(3.0)) == 5


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_halves_share_no_photo(count: int) -> None:
    fit, judge = halves(count)
    assert sorted([*fit, *judge]) == list(range(count))
    assert abs(len(fit) - len(judge)) <= 1
    np.testing.assert_array_equal(fit, halves(count)[0])
