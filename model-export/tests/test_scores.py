"""Reliability, what a fit does to it, and the confusion of classes, against computations of another kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clip_export.accuracy import Answers, answers
from clip_export.calibrated_scores import FEWEST_PHOTOS, calibrate_scores
from clip_export.confusion import classes_worst_first, confusion
from clip_export.reliability import calibration_error, reliability
from clip_export.temperature import halves


def overconfident(photos: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits of 8 labels that are three times as large as is honest, and what is true."""
    random = np.random.default_rng(5)
    logits = random.normal(0, 2, (photos, 8))
    truth = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    return 3 * logits, truth


def slow_calibration_error(confidence: list[float], right: list[bool]) -> float:
    """Photo by photo, in Python's numbers."""
    total = 0.0
    for low in range(15):
        members = [
            i for i, score in enumerate(confidence) if low / 15 <= score < (low + 1) / 15 or (low, score) == (14, 1)
        ]
        if members:
            total += abs(sum(confidence[i] for i in members) - sum(right[i] for i in members))
    return total / len(confidence)


def test_calibration_error_and_its_bins() -> None:
    random = np.random.default_rng(6)
    confidence = np.append(random.random(500), [0.0, 1.0])
    right = random.random(502) < confidence**2
    bins = reliability(confidence, right)
    assert calibration_error(confidence, right) == pytest.approx(slow_calibration_error(list(confidence), list(right)))
    assert sum(each.share for each in bins) == pytest.approx(1)
    assert [each.confidence for each in bins] == sorted(each.confidence for each in bins)
    assert sum(each.right * each.share for each in bins) == pytest.approx(right.mean())


def test_a_temperature_makes_scores_honest_on_photos_that_it_has_not_seen() -> None:
    logits, truth = overconfident()
    made = calibrate_scores(logits, truth)
    assert made.fit["temperature"] == pytest.approx(3, rel=0.1)
    assert made.ece_after < 0.03 < 0.1 < made.ece_before
    _, judge = halves(len(logits))
    scores = torch.softmax(torch.from_numpy(logits[judge]) / made.fit["temperature"], dim=1)
    confidence, first = scores.max(dim=1)
    expected = slow_calibration_error(confidence.tolist(), (first.numpy() == truth[judge]).tolist())
    assert made.ece_after == pytest.approx(expected)
    assert (made.fitted_on, made.judged_on) == (2000, 2000)
    assert made.rounded()["eceAfter"] == round(expected, 4)


def test_the_half_that_judges_does_not_fit() -> None:
    logits, truth = overconfident(400)
    _, judge = halves(400)
    others = truth.copy()
    others[judge] = (others[judge] + 1) % 8
    assert calibrate_scores(logits, others).fit == calibrate_scores(logits, truth).fit
    assert calibrate_scores(logits, others).ece_after > calibrate_scores(logits, truth).ece_after


def test_a_sigmoid_gets_a_scale_and_a_bias() -> None:
    random = np.random.default_rng(7)
    logits = random.normal(0, 4, (3000, 1))  # one label: each photo shows it or not, so two columns make one pair each
    both, truth = (
        np.hstack([logits, -logits]),
        (random.random(3000) > 1 / (1 + np.exp(-0.5 * logits[:, 0]))).astype(int),
    )
    made = calibrate_scores(both, truth, logit_bias=0.7)
    assert made.fit["scale"] == pytest.approx(0.5, rel=0.15)
    assert made.fit["bias"] == pytest.approx(-0.7 * made.fit["scale"], abs=0.1)
    assert made.ece_after < made.ece_before


def test_too_few_photos_for_a_fit() -> None:
    logits, truth = overconfident(FEWEST_PHOTOS)
    assert calibrate_scores(logits, truth) is not None
    assert calibrate_scores(logits[1:], truth[1:]) is None


def test_confusion() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 3, 3])
    first = np.array([0, 2, 2, 1, 1, 1, 0, 3])
    given = Answers(truth, first, np.ones(8), np.ones(8, bool))
    classes = classes_worst_first(given, ["cat", "dog", "fox", "owl"])
    assert [(each.label, each.count, each.right) for each in classes] == [
        ("cat", 4, 0.25),
        ("owl", 2, 0.5),
        ("dog", 2, 1),
    ]
    assert classes[0].taken_for == [("fox", 0.5), ("dog", 0.25)]
    shares = confusion(classes, ["cat", "dog", "fox", "owl"])
    np.testing.assert_allclose(shares, [[0.25, 0.25, 0.5, 0], [0.5, 0, 0, 0.5], [0, 1, 0, 0]])


def test_answers_are_those_of_torch() -> None:
    logits, truth = overconfident(200)
    given = answers(logits, truth)
    scores, labels = torch.softmax(torch.from_numpy(logits), dim=1).topk(5, dim=1)
    np.testing.assert_array_equal(given.first, labels[:, 0])
    np.testing.assert_allclose(given.confidence, scores[:, 0])
    np.testing.assert_array_equal(given.in_five, (labels.numpy() == truth[:, None]).any(axis=1))
