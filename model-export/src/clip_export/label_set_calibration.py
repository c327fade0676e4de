"""What labelled pictures add to a label set: honest scores, and the score below which the answer is "none of these".

Fitted on one half of the pictures; the numbers that are told are of the other half, and of pictures of other things.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .accuracy import answers, label_rows, zero_shot_logits
from .calibrated_scores import calibrate_scores
from .errors import ExportError
from .label_set import LabelSet
from .temperature import Platt, fit_platt, fit_temperature, halves
from .threshold import best_scores, fit_threshold, rejected

KEYS = ("temperature", "threshold", "falsePositiveRate", "platt", "background", "calibratedOn")
"""of the metadata that calibration writes"""


@dataclass(frozen=True)
class Background:
    """Texts that no picture is about, and their embeddings [texts, dim]."""

    texts: list[str]
    embeddings: np.ndarray


@dataclass(frozen=True)
class Measured:
    """On pictures that nothing was fitted on: shares, 0 to 1."""

    images: str
    fitted_on: int
    judged_on: int
    top1: float
    ece_before: float
    ece_after: float
    rejected_known: float
    """of pictures of the labels: the false positives"""
    rejected_without_label: float
    """of the same pictures with their own label taken away"""
    rejected_foreign: dict[str, float]
    """of pictures of other things, by the name of their list"""


@dataclass(frozen=True)
class Calibration:
    """How scores are made of a picture's cosines with the set's rows."""

    temperature: float
    """softmax(logits / temperature)"""
    platt: Platt
    """of each label on its own: 1 / (1 + exp(-(scale * logit + bias)))"""
    threshold: float
    """of the best label's softmax at the model's own scale, the background's texts in it"""
    false_positive_rate: float
    background: Background
    measured: Measured


def calibrate(
    label_set: LabelSet,
    logit_scale: float,
    images: tuple[str, np.ndarray, Sequence[str]],
    foreign: dict[str, np.ndarray],
    background: Background,
    false_positive_rate: float,
    logit_bias: float | None = None,
) -> Calibration:
    """`images`: name, embeddings [n, dim] and the label of each; `foreign`: embeddings of other things, by name.

    Logits are the logit scale times the cosine, and `logit_bias` where the model has one. Raises ExportError for labels
    that are not in the set, and for too few pictures.
    """
    name, embeddings, labels = images
    truth = label_rows(label_set.labels, labels)
    fit, judge = halves(len(embeddings))
    if len(fit) * false_positive_rate < 1 or len(fit) < 10:
        needed = max(20, 2 * int(np.ceil(1 / false_positive_rate)))
        raise ExportError(
            f"{name}: {len(embeddings)} pictures are too few for --false-positive-rate {false_positive_rate:g}: "
            f"at least {needed} are needed, half of them to fit on"
        )
    bias = logit_bias or 0.0
    logits = zero_shot_logits(embeddings, label_set.embeddings, logit_scale) + bias
    temperature = fit_temperature(logits[fit], truth[fit])
    positive = np.arange(len(label_set.labels)) == truth[:, None]
    platt = fit_platt(logits[fit], positive[fit])

    def scores(rows: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        of_labels = zero_shot_logits(rows, label_set.embeddings, logit_scale)
        of_background = zero_shot_logits(rows, background.embeddings, logit_scale)
        return best_scores(of_labels, of_background, own)

    threshold = fit_threshold(scores(embeddings[fit]), false_positive_rate)
    before_and_after = calibrate_scores(logits - bias, truth, logit_bias)
    kept, own = embeddings[judge], truth[judge]
    measured = Measured(
        images=name,
        fitted_on=len(fit),
        judged_on=len(judge),
        top1=answers(logits[judge], own).accuracy().top1,
        ece_before=before_and_after.ece_before,
        ece_after=before_and_after.ece_after,
        rejected_known=rejected(scores(kept), threshold),
        rejected_without_label=rejected(scores(kept, own), threshold) if len(label_set.labels) > 1 else 1.0,
        rejected_foreign={called: rejected(scores(rows), threshold) for called, rows in foreign.items()},
    )
    return Calibration(temperature, platt, threshold, false_positive_rate, background, measured)


def calibrated(label_set: LabelSet, made: Calibration) -> LabelSet:
    """The set with what its file says of the calibration, in place of an earlier one's."""
    measured = made.measured
    told = {
        "images": measured.images,
        "fittedOn": measured.fitted_on,
        "judgedOn": measured.judged_on,
        "eceBefore": round(measured.ece_before, 4),
        "eceAfter": round(measured.ece_after, 4),
        "rejectedKnown": round(measured.rejected_known, 4),
        "rejectedWithoutLabel": round(measured.rejected_without_label, 4),
        "rejectedForeign": {name: round(share, 4) for name, share in measured.rejected_foreign.items()},
    }
    values = {
        "temperature": made.temperature,
        "threshold": made.threshold,
        "falsePositiveRate": made.false_positive_rate,
        "platt": {"scale": made.platt.scale, "bias": made.platt.bias},
        "background": made.background.texts,
        "calibratedOn": told,
    }
    kept = {key: value for key, value in label_set.more.items() if key not in KEYS}
    more = kept | {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    rows = made.background.embeddings if made.background.texts else None
    return replace(label_set, more=more, background=rows)
