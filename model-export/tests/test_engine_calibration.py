"""Which linears become fast: the goal is met on data that nothing was fitted to, at the least time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from clip_export.engine.calibration import (
    Calibrated,
    Goal,
    all_fast,
    block_linears,
    calibrate,
    fast_candidates,
    multiplications,
    observe,
    sensitivities,
    share_of_tokens,
)
from clip_export.engine.reference import EngineEncoder, PackedLinears, float_encoder
from clip_export.engine.samples import CalibrationData, Samples, image_samples, text_samples, watching
from clip_export.engine.weights import Tower
from clip_export.golden.engine import MODELS
from clip_export.golden.engine_model import END, START
from clip_export.golden.random_clip import Case, random_clip, tower
from clip_export.report import calibration_line

SENSITIVE = ["layers.0.qkv", "layers.0.out"]
HARMLESS = ["layers.1.out", "layers.1.qkv"]
GOAL = Goal(0.9999)


@pytest.fixture(scope="module")
def image() -> Tower:
    """Three blocks; the first attention adds much to the residual, the second one hardly anything."""
    size = {**tower(48, 3, 3, 96), "image_size": 16, "patch_size": 4}
    case = Case("calibrated", "", size, tower(48, 3, 1, 96), 32, "quick_gelu")
    made = random_clip(case, np.random.default_rng(0)).image
    made.tensors["layers.0.out.weight"] *= 4
    made.tensors["layers.1.out.weight"] /= 16
    return made


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """[80, 3, 16, 16]: patches that go together in some way of their own."""
    random = np.random.default_rng(1)
    coarse = random.normal(size=(80, 3, 4, 4)).repeat(4, axis=2).repeat(4, axis=3)
    return (coarse + 0.5 * random.normal(size=(80, 3, 16, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def data(pixels: np.ndarray) -> CalibrationData:
    return image_samples(pixels)


@pytest.fixture(scope="module")
def calibrated(image: Tower, data: CalibrationData) -> Calibrated:
    return calibrate(image, data, GOAL)


def test_the_goal_is_met_on_what_was_kept_apart(image: Tower, pixels: np.ndarray, calibrated: Calibrated) -> None:
    apart = torch.from_numpy(pixels[3::4].copy())
    packed = EngineEncoder(calibrated.tensors, image.architecture)
    reference, made = (encoder.embed_images(apart).double() for encoder in (float_encoder(image), packed))
    cosines = (reference * made).sum(dim=1).numpy()
    np.testing.assert_allclose(cosines, calibrated.cosines, atol=1e-6)
    assert 1 - cosines.mean() <= GOAL.margin * (1 - GOAL.mean)
    assert 1 - cosines.min() <= GOAL.margin * (1 - GOAL.worst)


def test_some_are_fast_and_they_are_the_harmless_ones(image: Tower, calibrated: Calibrated) -> None:
    names = block_linears(image.architecture)
    assert calibrated.linears == len(names) == 12
    assert 0 < len(calibrated.fast) < 12
    assert calibrated.fast == sorted(calibrated.fast)
    assert set(HARMLESS) <= set(calibrated.fast)
    assert not set(SENSITIVE) & set(calibrated.fast)
    time = multiplications(image)
    assert calibrated.share == pytest.approx(sum(time[name] for name in calibrated.fast) / sum(time.values()))


def test_the_file_has_what_the_manifest_calls_fast(image: Tower, calibrated: Calibrated) -> None:
    tensors = calibrated.tensors
    assert sorted(name[:-6] for name in tensors if name.endswith(".start")) == calibrated.fast
    factors = [name for name in tensors if name.endswith(".factor")]
    assert factors == [f"{name}.factor" for name in calibrated.fast if name.endswith("fc2")]
    assert [name for name in tensors if name in image.tensors] == list(image.tensors)
    assert tensors["projection.weight"].dtype == np.int8


def test_a_stricter_goal_has_fewer_fast_linears(image: Tower, data: CalibrationData, calibrated: Calibrated) -> None:
    strict, loose = calibrate(image, data, Goal(0.99998)), calibrate(image, data, Goal(0.9995))
    assert Goal(0.99998).met_by(strict.cosines)
    assert Goal(0.9995).met_by(loose.cosines)
    assert 0 < len(strict.fast) < len(calibrated.fast) < len(loose.fast)
    assert strict.share < calibrated.share < loose.share


def test_all_fast_would_miss_the_goal(image: Tower, data: CalibrationData) -> None:
    """Or calibration would have had nothing to choose."""
    tensors, fast = all_fast(image, data.fit)
    assert fast == block_linears(image.architecture)
    made = data.check.through(EngineEncoder(tensors, image.architecture))
    assert not GOAL.met_by((made * data.check.through(float_encoder(image))).sum(dim=1).numpy())


def test_a_goal_out_of_reach_leaves_all_exact(image: Tower, data: CalibrationData) -> None:
    goal = Goal(0.9999999)
    made = calibrate(image, data, goal)
    assert (made.fast, made.share) == ([], 0)
    assert not [name for name in made.tensors if name.endswith((".start", ".factor"))]
    assert made.cosines.min() > 0.9999
    assert "0 of 12 linears are fast, 0% of their multiplications" in calibration_line("image", made, goal)
    assert "--parity 0.9999999 is not reached" in calibration_line("image", made, goal)


def test_the_line_for_people(calibrated: Calibrated) -> None:
    line = calibration_line("image", calibrated, GOAL)
    assert line.startswith(f"image encoder: {len(calibrated.fast)} of 12 linears are fast, {calibrated.share:.0%} of")
    assert f"cosine {calibrated.cosines.mean():.6f} on the mean, {calibrated.cosines.min():.6f} at worst" in line
    assert line.endswith("on 20 images kept apart")


def test_the_same_input_gives_the_same_bytes(image: Tower, data: CalibrationData, calibrated: Calibrated) -> None:
    again = calibrate(image, data, GOAL)
    assert again.fast == calibrated.fast
    assert list(again.tensors) == list(calibrated.tensors)
    for name, values in calibrated.tensors.items():
        assert again.tensors[name].tobytes() == values.tobytes(), name


def test_nothing_given_is_changed(image: Tower, pixels: np.ndarray) -> None:
    tensors, given = {name: values.copy() for name, values in image.tensors.items()}, pixels.copy()
    calibrate(image, image_samples(pixels), GOAL)
    assert np.array_equal(pixels, given)
    assert all(np.array_equal(values, tensors[name]) for name, values in image.tensors.items())


def test_harmless_linears_cost_less(image: Tower, data: CalibrationData) -> None:
    costs = sensitivities(observe(image, data.fit), fast_candidates(image))
    assert set(costs) == set(block_linears(image.architecture))
    assert max(costs[name] for name in HARMLESS) < 0.3 * min(costs[name] for name in SENSITIVE)
    assert min(costs.values()) > 1e-10  # or one was not rounded at all


def test_text_encoders_are_calibrated(image: Tower) -> None:
    random = np.random.default_rng(2)
    case = Case("texts", "", {**tower(32, 2, 1, 64), "image_size": 8, "patch_size": 8}, tower(32, 2, 2, 64), 32, "gelu")
    text = random_clip(case, random).text
    ids = [[START, *random.integers(1, START, length).tolist(), END] for length in (1, 3, 6, 9) for _ in range(20)]
    made = calibrate(text, text_samples(ids, END), Goal(0.9995))
    assert made.fast
    assert len(made.cosines) == 20
    assert Goal(0.9995).met_by(made.cosines)


@pytest.mark.parametrize(
    ("name", "encoder", "left_out"),
    [
        ("fast", "image", set()),
        ("padded", "image", {"qkv", "out", "fc1", "fc2"}),  # widths of 24 and 40
        ("one-layer", "text", set()),
        ("open-clip-layer-scale", "image", {"fc2"}),  # an MLP of 72 beside a width of 32
    ],
)
def test_inputs_that_are_no_multiple_of_16_stay_exact(name: str, encoder: str, left_out: set[str]) -> None:
    made: Tower = getattr(MODELS[name](np.random.default_rng(0)), encoder)
    names = block_linears(made.architecture)
    assert fast_candidates(made) == [name for name in names if name.rpartition(".")[2] not in left_out]


def test_an_encoder_without_candidates(data: CalibrationData) -> None:
    model = MODELS["padded"](np.random.default_rng(0))
    pixels = np.random.default_rng(1).normal(size=(12, 3, 28, 28)).astype(np.float32)
    made = calibrate(model.image, image_samples(pixels), Goal(0.999))
    assert (made.fast, made.linears) == ([], 8)
    assert made.cosines.min() > 0.999


@pytest.mark.parametrize(
    ("name", "pooling", "share"),
    [
        ("layers.2.out", "cls", 0.01),
        ("layers.2.fc2", "last", 0.01),
        ("layers.2.fc1", "first-eot", 0.01),
        ("layers.2.qkv", "cls", 1),  # keys and values of all tokens
        ("layers.1.out", "cls", 1),
        ("layers.12.out", "cls", 1),
        ("layers.2.fc1", "attention", 1),
        ("layers.2.fc1", "mean", 1),
    ],
)
def test_share_of_tokens(name: str, pooling: str, share: float) -> None:
    assert share_of_tokens(name, {"layers": 3, "pooling": pooling}) == share


@pytest.mark.parametrize(
    ("cosines", "met"),
    [
        ([1, 1], True),
        ([0.9999, 0.9999], False),  # the goal itself, without the margin
        ([0.99995, 0.99995], True),
        ([*[1] * 19, 0.9997], False),  # the worst alone: allowed are 0.58 * 0.0005
        ([*[1] * 19, 0.99972], True),
        ([1, float("nan")], False),
    ],
)
def test_a_goal_has_a_mean_and_a_worst(cosines: list[float], met: bool) -> None:
    assert Goal(0.9999).met_by(np.array(cosines)) == met


def test_what_is_kept_apart_is_not_fitted_to(pixels: np.ndarray) -> None:
    data = image_samples(pixels[:9])
    fit, check = (torch.cat(list(samples.batches)).numpy() for samples in (data.fit, data.check))
    assert np.array_equal(fit, pixels[[0, 1, 2, 4, 5, 6, 8]])
    assert np.array_equal(check, pixels[[3, 7]])
    ids = [[START, *range(word, word + length), END] for word, length in enumerate([1, 1, 2, 2, 1, 3, 2, 3])]
    texts = text_samples(ids, END)
    assert [batch.tolist() for batch in texts.fit.batches] == [[ids[0], ids[1], ids[4]], [ids[2], ids[6]], [ids[5]]]
    assert [batch.tolist() for batch in texts.check.batches] == [[ids[3]], [ids[7]]]


def test_a_few_of_every_batch() -> None:
    batches = [torch.zeros(count, 1) for count in (1, 300, 5, 20)]
    few = Samples(batches, lambda encoder, batch: batch).few()
    assert [len(batch) for batch in few.batches] == [1, 60, 1, 4]


def test_watching_ends_with_its_block(image: Tower, pixels: np.ndarray) -> None:
    encoder = float_encoder(image)
    plain, seen = encoder.linear, {}

    def see(name: str, rows: torch.Tensor) -> None:
        seen[name] = tuple(rows.shape)

    def fail() -> None:
        with watching(encoder, see):
            encoder.embed_images(torch.from_numpy(pixels[:2]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert encoder.linear is plain
    assert set(seen) == {*block_linears(image.architecture), "patch", "projection"}
    assert (seen["patch"], seen["layers.2.fc2"]) == ((32, 48), (34, 96))


def test_every_linear_of_the_encoder_has_a_range(image: Tower, data: CalibrationData) -> None:
    observed = observe(image, data.fit)
    rows: dict[str, Any] = {}
    encoder = float_encoder(image)
    with watching(encoder, lambda name, x: rows.setdefault(name, []).append(x)):
        data.fit.through(encoder)
    assert set(observed.ranges) == set(rows)
    for name, seen in rows.items():
        np.testing.assert_array_equal(observed.ranges[name].lowest, torch.cat(seen).amin(0).numpy())
        np.testing.assert_array_equal(observed.ranges[name].highest, torch.cat(seen).amax(0).numpy())


def test_exact_linears_are_exact_in_the_reference(calibrated: Calibrated, image: Tower) -> None:
    linears = PackedLinears(calibrated.tensors)
    for name in block_linears(image.architecture):
        linears(name, torch.ones(1, image.tensors[f"{name}.weight"].shape[1]))
        assert (linears.linears[name].zero is None) == (name not in calibrated.fast)
