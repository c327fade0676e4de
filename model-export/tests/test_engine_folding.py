"""Folding leaves what an encoder computes as it is, and makes its linears' inputs fit for 7 bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from clip_export.engine.calibration import Observed, block_linears, observe, sensitivities
from clip_export.engine.folding import FLOOR, Range, fold
from clip_export.engine.linear import GROUP
from clip_export.engine.reference import ACTIVATIONS, float_encoder
from clip_export.engine.samples import Samples, image_samples, text_samples, watching
from clip_export.engine.weights import Tower
from clip_export.golden.engine import MODELS
from clip_export.golden.engine_model import random_ids, random_pixels

FAST: dict[str, Callable[[str], bool]] = {
    "all": lambda name: True,
    "none": lambda name: False,
    "only fc2s": lambda name: name.endswith("fc2"),
}


def towers(name: str) -> dict[str, tuple[Tower, Samples]]:
    """A golden model's encoders, with inputs of each."""
    random = np.random.default_rng(0)
    model = MODELS[name](random)
    pixels = np.concatenate([random_pixels(model.size, random) for _ in range(4)])
    ids = [text for _ in range(4) for text in random_ids(model.end_of_text, random)]
    texts = text_samples(ids, model.end_of_text, model.pad_id).fit
    return {"image": (model.image, image_samples(pixels).fit), "text": (model.text, texts)}


@pytest.mark.parametrize("which", FAST)
@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("resnet")])  # these are never folded
def test_what_is_computed_stays(name: str, which: str) -> None:
    for tower, samples in towers(name).values():
        before = {key: values.copy() for key, values in tower.tensors.items()}
        fast = [linear for linear in block_linears(tower.architecture) if FAST[which](linear)]
        folded = fold(tower, observe(tower, samples).ranges, fast)

        expected, made = samples.through(float_encoder(tower)), samples.through(float_encoder(folded))
        assert (made - expected).abs().max() < 2e-5
        assert folded.architecture == tower.architecture
        for key, values in tower.tensors.items():  # nothing was changed in place
            assert np.array_equal(values, before[key]), key
        for key, values in folded.tensors.items():
            assert values.dtype == (np.int8 if key == "tokens.weight" else np.float32), key
            assert np.isfinite(values).all(), key
        # each block's linears did change, or this would test nothing
        assert not np.array_equal(folded.tensors["layers.0.qkv.weight"], tower.tensors["layers.0.qkv.weight"])


@pytest.mark.parametrize("which", FAST)
def test_tensors_stand_in_the_order_of_use(which: str) -> None:
    tower, samples = towers("fast")["image"]
    fast = [linear for linear in block_linears(tower.architecture) if FAST[which](linear)]
    folded = list(fold(tower, observe(tower, samples).ranges, fast).tensors)
    factors = [name for name in folded if name not in tower.tensors]
    expected = [f"layers.{i}.fc2.factor" for i in range(2) if f"layers.{i}.fc2" in fast]
    assert factors == expected
    for factor in factors:
        assert folded[folded.index(factor) + 1] == factor.replace("factor", "weight")
    assert [name for name in folded if name not in factors] == list(tower.tensors)


def test_only_the_named_fc2s_come_with_a_factor() -> None:
    tower, samples = towers("fast")["image"]
    folded = fold(tower, observe(tower, samples).ranges, ["layers.1.fc2", "layers.0.qkv"])
    assert [name for name in folded.tensors if name.endswith("factor")] == ["layers.1.fc2.factor"]
    assert folded.tensors["layers.0.fc2.weight"] is tower.tensors["layers.0.fc2.weight"]


def inputs_of(tower: Tower, samples: Samples) -> dict[str, np.ndarray]:
    """Every linear's inputs [rows, K]."""
    seen: dict[str, list[np.ndarray]] = {}
    encoder = float_encoder(tower)
    with watching(encoder, lambda name, rows: seen.setdefault(name, []).append(rows.numpy())):
        samples.through(encoder)
    return {name: np.concatenate(rows) for name, rows in seen.items()}


@pytest.mark.parametrize("encoder", ["image", "text"])
def test_what_the_linears_are_given_then(encoder: str) -> None:
    tower, samples = towers("fast")[encoder]
    layers = tower.architecture["layers"]
    folded = fold(tower, observe(tower, samples).ranges, block_linears(tower.architecture))
    inputs = inputs_of(folded, samples)
    for name in (f"layers.{i}" for i in range(layers)):
        for linear in ("qkv", "fc1"):  # as far above 0 as below
            x = inputs[f"{name}.{linear}"]
            np.testing.assert_allclose(x.max(axis=0), -x.min(axis=0), rtol=1e-3, atol=1e-4)
        hidden = inputs[f"{name}.fc2"]
        assert hidden.min() >= 0
        reach = hidden.max(axis=0)
        assert (np.diff(reach) > -1e-4 * reach.max()).all()  # alike within a group
    assert inputs["layers.0.fc2"].shape[1] > GROUP


def test_far_channels_come_nearer() -> None:
    tower, samples = towers("outliers")["image"]
    before = inputs_of(tower, samples)
    after = inputs_of(fold(tower, observe(tower, samples).ranges, []), samples)
    for linear in ("layers.0.qkv", "layers.1.fc1"):
        spread = [np.ptp(x, axis=0).max() / np.median(np.ptp(x, axis=0)) for x in (before[linear], after[linear])]
        assert spread[0] > 10
        assert spread[1] < 0.6 * spread[0]


def test_seven_bits_cost_less_when_folded() -> None:
    tower, samples = towers("outliers")["image"]
    ranges = observe(tower, samples).ranges
    names = ["layers.0.qkv", "layers.0.fc1", "layers.0.out"]
    folded = sensitivities(Observed(tower, samples, ranges), names)
    # ranges that are 1 / the largest weight leave factors of 1 and middles of 0
    even = {name: as_it_is(tower, name) if name in names else ranges[name] for name in ranges}
    unfolded = sensitivities(Observed(tower, samples, even), names)
    assert sum(folded.values()) < 0.5 * sum(unfolded.values())


def as_it_is(tower: Tower, name: str) -> Range:
    """A range by which folding changes nothing: the channels' factors are all 1."""
    largest = np.abs(tower.tensors[f"{name}.weight"]).max(axis=0)
    return Range(-largest, largest)


def test_channels_that_never_vary_and_weights_of_zero() -> None:
    tower, samples = towers("fast")["image"]
    tensors = {name: values.copy() for name, values in tower.tensors.items()}
    for norm in ("norm1", "norm2"):
        tensors[f"layers.0.{norm}.weight"][3] = 0  # the channel is its bias
    tensors["layers.0.qkv.weight"][:, 5] = 0  # nobody reads it
    tensors["layers.0.fc1.weight"][7], tensors["layers.0.fc1.bias"][7] = 0, -40  # a dead hidden channel
    tensors["layers.0.fc2.weight"][:, 9] = 0
    odd = Tower(tensors, tower.architecture)
    folded = fold(odd, observe(odd, samples).ranges, block_linears(odd.architecture))
    assert all(np.isfinite(values).all() for values in folded.tensors.values())
    assert (samples.through(float_encoder(folded)) - samples.through(float_encoder(odd))).abs().max() < 2e-5


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_activation_is_below_its_floor(activation: str) -> None:
    x = torch.linspace(-20, 5, 250_001)
    lowest = float(ACTIVATIONS[activation](x).min())
    assert -FLOOR < lowest < -0.9 * FLOOR
