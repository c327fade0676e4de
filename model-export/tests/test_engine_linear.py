"""How linears lie in a file, for both products, and that no lane of the fast one can overflow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clip_export.engine.linear import (
    GROUP,
    LANE,
    SIGNED_ZERO,
    PackedLinear,
    lane_sums,
    pack_linear,
    pack_linears,
    starts,
    to_nearest,
    unpack_linear,
    zero_of,
)
from clip_export.engine.reference import exact_product, fast_product, quantise_activations
from clip_export.engine.weights import Tensors, linear


def whole_weights(outputs: int, inputs: int, largest: int = 40) -> np.ndarray:
    """Whole numbers with a 127 in every row, far too small otherwise to fill a lane: they are packed as they are."""
    weight = np.random.default_rng(0).integers(-largest, largest + 1, (outputs, inputs)).astype(np.float32)
    weight[np.arange(outputs), np.arange(outputs) % inputs] = 127
    return weight


def largest_lane(tensors: Tensors) -> int:
    """Of a fast linear's bytes, the most that a lane's int16 can be away from 0, by the engine's own order.

    Panels [N/8, K/4, 8, 4]: two steps of four inputs go into lanes of two neighbours each.
    """
    panels = tensors["x.weight"].astype(int)
    first, second = panels[:, 0::2], panels[:, 1::2]
    lanes = np.concatenate([first.reshape(*first.shape[:3], 2, 2), second.reshape(*first.shape[:3], 2, 2)], axis=-1)
    highest = 127 * lanes.clip(min=0).sum(axis=-1).max()
    lowest = 127 * lanes.clip(max=0).sum(axis=-1).min()
    return int(max(highest, -lowest - 1))


def test_every_element_of_an_exact_linear() -> None:
    weight = whole_weights(16, 20)
    tensors = pack_linear("x", weight)
    assert set(tensors) == {"x.weight", "x.scale"}
    panels = tensors["x.weight"]
    assert (panels.dtype, panels.shape) == (np.int8, (2, 16, 8, 2))
    for p, k, c, j in np.ndindex(panels.shape):
        assert panels[p, k, c, j] == (weight[8 * p + c, 2 * k + j] if 2 * k + j < 20 else 0)
    assert (tensors["x.scale"] == 1).all()


@pytest.mark.parametrize("zero", [0, SIGNED_ZERO])
def test_every_element_of_a_fast_linear(zero: int) -> None:
    weight = whole_weights(24, 144)
    tensors = pack_linear("x", weight, zero)
    assert set(tensors) == {"x.weight", "x.scale", "x.start"}
    panels, start = tensors["x.weight"], tensors["x.start"]
    assert (panels.dtype, panels.shape) == (np.int8, (3, 36, 8, 4))
    for p, k, c, j in np.ndindex(panels.shape):
        assert panels[p, k, c, j] == weight[8 * p + c, 4 * k + j]
    assert (start.dtype, start.shape) == (np.int32, (2, 24))
    for g, n in np.ndindex(start.shape):
        assert start[g, n] == -zero * weight[n, GROUP * g : GROUP * (g + 1)].sum()
    assert (tensors["x.scale"] == 1).all()


@pytest.mark.parametrize(("inputs", "groups"), [(16, 1), (128, 1), (144, 2), (256, 2), (272, 3)])
def test_starts_hold_the_largest_sums(inputs: int, groups: int) -> None:
    made = starts(np.full((8, inputs), -127, np.int8), SIGNED_ZERO)
    assert made.shape == (groups, 8)
    assert made[0, 0] == SIGNED_ZERO * 127 * min(inputs, GROUP)  # beyond an int16, and an int8's sum beyond both
    assert made[-1, 7] == SIGNED_ZERO * 127 * (inputs - GROUP * (groups - 1))


def test_lane_sums_by_a_plain_loop() -> None:
    codes = np.random.default_rng(1).integers(-127, 128, (40, 64)).astype(np.int8)
    for row, found in zip(codes, lane_sums(codes), strict=True):
        sums = []
        for i in range(0, 64, 8):
            for j in (0, 2):
                lane = [int(row[i + j + at]) for at in (0, 1, 4, 5)]
                sums += [sum(w for w in lane if w > 0), -sum(w for w in lane if w < 0)]
        assert found == max(sums)


def adversarial_weights() -> np.ndarray:
    """[48, 32]: what makes lanes full, and rows between that fit."""
    random = np.random.default_rng(2)
    weight = random.normal(size=(48, 32)).astype(np.float32)
    weight[0], weight[1] = 1, -1  # all alike
    weight[2] = np.tile([1, -1], 16)  # neighbours of either sign: 254 in each direction, and fits
    weight[3, 8:] = 0
    weight[3, :8] = [1, 1, 0, 0, 1, 1, 0, 0]  # one lane alone is full
    weight[4] = 0
    weight[4, [0, 1, 4, 5]] = -3e30
    weight[5] = random.choice([-1e-20, 1e-20], 32)
    weight[6] = random.choice([-1, 1], 32) * np.logspace(-6, 6, 32)
    weight[7, :] = 0
    weight[7, [2, 3, 6]] = [127, 127, 4]  # 258: just fits
    weight[8, :] = 0
    weight[8, [2, 3, 6]] = [127, 127, 5]  # 259: just does not
    weight[9] = 0
    weight[10] = np.sign(random.normal(size=32))
    return weight


def test_no_lane_of_extreme_weights_overflows() -> None:
    weight = adversarial_weights()
    plain = pack_linear("x", weight)
    unraised = lane_sums(unpack_linear(plain, "x", 32).codes)
    assert (unraised > LANE).sum() >= 10  # or this would show nothing
    tensors = pack_linear("x", weight, SIGNED_ZERO)
    codes = unpack_linear(tensors, "x", 32).codes
    assert lane_sums(codes).max() <= LANE
    assert largest_lane(tensors) <= 32767
    assert np.isfinite(tensors["x.scale"]).all()
    raised = tensors["x.scale"] > plain["x.scale"]
    assert np.array_equal(raised, unraised > LANE)
    assert raised[8]
    assert not raised[7]
    assert (tensors["x.scale"][~raised] == plain["x.scale"][~raised]).all()


def test_without_raising_a_lane_would_overflow() -> None:
    weight = np.ones((8, 16), np.float32)
    codes = to_nearest(weight, np.full(8, 1 / 127, np.float32))
    assert largest_lane({"x.weight": codes.reshape(1, 8, 4, 4).transpose(0, 2, 1, 3)}) > 32767


def test_scales_are_raised_as_little_as_needed() -> None:
    weight = adversarial_weights()
    tensors, plain = pack_linear("x", weight, SIGNED_ZERO), pack_linear("x", weight)
    raised = tensors["x.scale"] > plain["x.scale"]
    less = tensors["x.scale"] * np.float32(0.985)
    assert (lane_sums(to_nearest(weight, less))[raised] > LANE).all()
    assert (tensors["x.scale"] / plain["x.scale"]).max() < 508 / LANE * 1.01  # four weights of 127


@pytest.mark.parametrize("zero", [None, 0, SIGNED_ZERO])
def test_rows_of_zeros(zero: int | None) -> None:
    tensors = pack_linear("x", np.zeros((8, 16), np.float32), zero)
    assert not tensors["x.weight"].any()
    assert np.isfinite(tensors["x.scale"]).all()
    assert not tensors.get("x.start", np.zeros(1)).any()


def test_only_what_is_named_is_fast() -> None:
    tensors = {
        **linear("a", whole_weights(8, 20), np.ones(8, np.float32)),
        "b.factor": np.ones(32, np.float32),
        **linear("b", whole_weights(8, 32), np.ones(8, np.float32)),
        **linear("c", whole_weights(8, 32)),
    }
    asked = []

    def rounding(name: str):
        asked.append(name)
        return to_nearest

    packed = pack_linears(tensors, {"b", "c"}, rounding)
    assert asked == ["a", "b", "c"]
    assert [name for name in packed if name.endswith(".start")] == ["b.start", "c.start"]
    assert [unpack_linear(packed, name, 32).zero for name in "abc"] == [None, 0, SIGNED_ZERO]
    assert [zero_of(packed, name) for name in "bc"] == [0, SIGNED_ZERO]
    assert packed["a.bias"] is tensors["a.bias"]
    assert packed["b.factor"] is tensors["b.factor"]
    for name, inputs in (("a", 20), ("b", 32), ("c", 32)):
        assert np.array_equal(unpack_linear(packed, name, inputs).codes, tensors[f"{name}.weight"])


def by_the_bytes(x: np.ndarray, tensors: Tensors, zero: int) -> np.ndarray:
    """[rows, K] -> [rows, N]: the fast product in whole numbers, as the engine reads a file."""
    panels, start = tensors["x.weight"].astype(np.int64), tensors["x.start"]
    y = np.zeros((len(x), len(panels) * 8), np.float32)
    for g, first in enumerate(range(0, x.shape[1], GROUP)):
        group = x[:, first : first + GROUP]
        largest = np.abs(group).max(axis=1, keepdims=True)
        limit = np.float32(127 - zero)
        factor = np.divide(limit, largest, out=np.zeros_like(largest), where=largest > 0)
        codes = (np.rint(group * factor).clip(min=-zero) + zero).astype(np.int64)
        assert codes.min() >= 0
        assert codes.max() <= 127
        steps = codes.reshape(len(x), -1, 4)  # [rows, step, 4]
        sums = np.einsum("rkj,pkcj->rpc", steps, panels[:, first // 4 : (first + GROUP) // 4]).reshape(len(x), -1)
        y += (sums + start[g]).astype(np.float32) * (largest / limit)
    return y


@pytest.mark.parametrize("zero", [0, SIGNED_ZERO])
@pytest.mark.parametrize("inputs", [16, 128, 144, 272])
def test_the_reference_is_the_product_of_the_bytes(zero: int, inputs: int) -> None:
    random = np.random.default_rng(inputs)
    weight = random.normal(size=(16, inputs)).astype(np.float32)
    x = random.normal(size=(6, inputs)).astype(np.float32) * np.logspace(-3, 3, 6, dtype=np.float32)[:, None]
    x[1] = 0
    x[2, 3] = 1000
    if zero == 0:
        x = np.abs(x)
        x[3, :2] = -0.5  # counts as 0
    tensors = pack_linear("x", weight, zero)
    packed = PackedLinear(unpack_linear(tensors, "x", inputs).codes, tensors["x.scale"], None, zero)
    made = fast_product(torch.from_numpy(x), packed).numpy()
    np.testing.assert_allclose(made, by_the_bytes(x, tensors, zero), rtol=1e-6, atol=1e-6 * np.abs(made).max())
    assert not made[1].any()


@pytest.mark.parametrize(("fast", "most"), [(False, 1e-4), (True, 0.02)])
def test_both_products_are_near_float(fast: bool, most: float) -> None:
    random = np.random.default_rng(3)
    codes = random.integers(-30, 31, (16, 144)).astype(np.int8)
    x = torch.from_numpy(random.normal(size=(50, 144)).astype(np.float32))
    packed = PackedLinear(codes, np.ones(16, np.float32), None, SIGNED_ZERO if fast else None)
    made = (fast_product if fast else exact_product)(x, packed)
    expected = x @ torch.from_numpy(codes).float().T
    error = float((made - expected).norm() / expected.norm())
    assert 0 < error < most
    rows, scales = quantise_activations(x)
    assert torch.allclose((rows * scales).float(), x, atol=1e-3)
