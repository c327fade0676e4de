"""Calibrated label sets: what is fitted, that it is judged on other pictures, and what the file says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import run

from clip_export.errors import ExportError
from clip_export.label_set import LabelSet, read_label_set, write_label_set
from clip_export.label_set_calibration import Background, calibrate, calibrated
from clip_export.prototypes import unit
from clip_export.temperature import halves
from clip_export.threshold import best_scores, fit_threshold, rejected

DIM, LABELS, SCALE = 32, 6, 20.0
random = np.random.default_rng(0)
AXES = np.eye(DIM, dtype=np.float32)
MADE = LabelSet("axes", "random", "ab" * 32, [f"axis {i}" for i in range(LABELS)], ["{}"], AXES[:LABELS])
NOTHING = Background(["nothing."], AXES[LABELS : LABELS + 1])


def near(axes: np.ndarray, noise: float = 0.15) -> np.ndarray:
    """[n, DIM], unit rows about the axes."""
    return unit(AXES[axes] + noise * random.standard_normal((len(axes), DIM)))


TRUTH = random.integers(0, LABELS, 400)
IMAGES = ("axes", near(TRUTH), [MADE.labels[row] for row in TRUTH])
FOREIGN = near(random.integers(LABELS, DIM, 300))


def test_the_score_of_the_best_label_competes_with_the_background() -> None:
    logits, background = np.array([[1.0, 3.0], [2.0, 0.0]]), np.array([[2.0], [5.0]])
    every = np.concatenate([logits, background], axis=1)
    softmax = np.exp(every) / np.exp(every).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(best_scores(logits, background), softmax[:, :2].max(axis=1))
    alone = best_scores(logits, np.zeros((2, 0)), own=np.array([1, 1]))
    np.testing.assert_allclose(alone, [1.0, 1.0])  # one label is left
    np.testing.assert_allclose(best_scores(logits * 1e4, background), [1, 1])  # without overflow


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_the_threshold_rejects_the_stated_share(rate: float) -> None:
    scores = random.random(1000)
    threshold = fit_threshold(scores, rate)
    assert rejected(scores, threshold) == pytest.approx(rate)
    assert rejected(random.random(100_000), threshold) == pytest.approx(rate, abs=0.03)


def test_the_threshold_is_fitted_on_one_half_and_measured_on_the_other() -> None:
    made = calibrate(MADE, SCALE, IMAGES, {"others": FOREIGN}, NOTHING, 0.1)
    fit, judge = halves(len(TRUTH))

    def scores(rows: np.ndarray) -> np.ndarray:
        logits = SCALE * rows.astype(np.float64)
        return best_scores(logits @ MADE.embeddings.T, logits @ NOTHING.embeddings.T)

    assert rejected(scores(IMAGES[1][fit]), made.threshold) == pytest.approx(0.1)
    assert made.measured.rejected_known == rejected(scores(IMAGES[1][judge]), made.threshold)
    assert made.measured.rejected_known == pytest.approx(0.1, abs=0.08)
    assert made.measured.rejected_foreign["others"] == rejected(scores(FOREIGN), made.threshold) > 0.9
    assert made.measured.rejected_without_label > 0.9
    assert made.measured.ece_after < made.measured.ece_before  # at this scale the scores are too modest


def test_background_rejects_what_no_label_is_about() -> None:
    """Of pictures that are near a background text: without it, the labels share what is not theirs."""
    nothing = near(np.full(200, LABELS), 0.3)
    shares = [
        calibrate(MADE, SCALE, IMAGES, {"nothing": nothing}, background, 0.02).measured.rejected_foreign["nothing"]
        for background in (Background([], np.zeros((0, DIM), np.float32)), NOTHING)
    ]
    assert shares[1] > shares[0]
    assert shares[1] > 0.9


def test_platts_scores_are_honest_of_each_pair() -> None:
    made = calibrate(MADE, SCALE, IMAGES, {}, NOTHING, 0.05, logit_bias=-3.0)
    truth = random.integers(0, LABELS, 4000)
    logits = SCALE * near(truth).astype(np.float64) @ MADE.embeddings.T - 3.0
    scores = 1 / (1 + np.exp(-made.platt.logits(logits)))
    positive = np.arange(LABELS) == truth[:, None]
    assert scores.mean() == pytest.approx(positive.mean(), abs=0.02)
    assert scores[positive].mean() > 0.9
    assert scores[~positive].mean() < 0.05


def test_the_file_says_what_was_fitted(tmp_path: Path) -> None:
    made = calibrate(MADE, SCALE, IMAGES, {"others": FOREIGN}, NOTHING, 0.05)
    for number in range(2):  # calibrated again, it says it once
        write_label_set(calibrated(MADE if not number else read_label_set(tmp_path / "set"), made), tmp_path / "set")
    found = read_label_set(tmp_path / "set")
    np.testing.assert_array_equal(found.embeddings, MADE.embeddings)
    np.testing.assert_array_equal(found.background, NOTHING.embeddings)
    stated = {key: json.loads(value) for key, value in found.more.items()}
    assert (stated["temperature"], stated["threshold"]) == (made.temperature, made.threshold)
    assert stated["platt"] == {"scale": made.platt.scale, "bias": made.platt.bias}
    assert (stated["falsePositiveRate"], stated["background"]) == (0.05, ["nothing."])
    assert stated["calibratedOn"]["rejectedForeign"].keys() == {"others"}
    without = calibrate(MADE, SCALE, IMAGES, {}, Background([], np.zeros((0, DIM), np.float32)), 0.05)
    write_label_set(calibrated(found, without), tmp_path / "set")
    assert read_label_set(tmp_path / "set").background is None


def test_too_few_pictures_and_unknown_labels() -> None:
    name, rows, labels = IMAGES
    with pytest.raises(ExportError, match=r"39 pictures are too few for .* at least 40"):
        calibrate(MADE, SCALE, (name, rows[:39], labels[:39]), {}, NOTHING, 0.05)
    with pytest.raises(ExportError, match="not in the label set: unicorn"):
        calibrate(MADE, SCALE, (name, rows, ["unicorn", *labels[1:]]), {}, NOTHING, 0.05)


def test_calibrate_from_arguments_to_the_file(bundle: Path, tmp_path: Path) -> None:
    animals, out = bundle / "labels" / "animals.safetensors", tmp_path / "out.st"
    lines = []
    for number in range(44):
        pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png\t{['cat', 'dog', 'horse'][number % 3]}\n")
    (tmp_path / "photos.tsv").write_text("".join(lines) + "missing.png\tcat\n")
    (tmp_path / "others.tsv").write_text("".join(f"{number}.png\tx\n" for number in range(5)))
    (tmp_path / "background.txt").write_text("a photo.\nnothing.\n")
    options = ["--images", tmp_path / "photos.tsv", "--image-folder", tmp_path, "--out", out]
    foreign = ["--foreign", tmp_path / "others.tsv", "--foreign-folder", tmp_path]
    result = run("calibrate", bundle, animals, *options, *foreign, "--background", tmp_path / "background.txt")
    assert result.exit_code == 0, result.output
    assert "1 of 45 photos left out: missing.png (missing)" in result.output
    assert '"none of these": others' in result.output
    found = read_label_set(out)
    assert json.loads(found.more["calibratedOn"])["fittedOn"] == 22
    assert found.background.shape == (2, 32)
    again = run("calibrate", bundle, animals, *options[:4], "--false-positive-rate", "0.01")
    assert again.exit_code == 1
    assert "44 pictures are too few for --false-positive-rate 0.01: at least 200" in again.output
    write_label_set(MADE, tmp_path / "other.st")
    other = run("calibrate", bundle, tmp_path / "other.st", *options)
    assert other.exit_code == 1
    assert "other.st was made for random, revision abababababab" in other.output
