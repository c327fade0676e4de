"""What a fitted temperature (or Platt's scale and bias) makes of the scores of photos that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .accuracy import answers
from .reliability import Bin, calibration_error, reliability
from .temperature import fit_platt, fit_temperature, halves

FEWEST_PHOTOS = 20
"""with fewer, neither a fit nor its check says anything"""


@dataclass(frozen=True)
class CalibratedScores:
    """Fitted on one half of the photos; all else is of the other half."""

    fit: dict[str, float]
    """{temperature} of softmax; {scale, bias} of the sigmoid"""
    fitted_on: int
    judged_on: int
    ece_before: float
    ece_after: float
    before: list[Bin]
    after: list[Bin]

    def rounded(self) -> dict[str, Any]:
        """For `quality`."""
        return {
            **{key: round(value, 4) for key, value in self.fit.items()},
            "fittedOn": self.fitted_on,
            "judgedOn": self.judged_on,
            "eceBefore": round(self.ece_before, 4),
            "eceAfter": round(self.ece_after, 4),
        }


def calibrate_scores(logits: np.ndarray, truth: np.ndarray, logit_bias: float | None = None) -> CalibratedScores | None:
    """Logits [n, labels], without a bias, and the right label's row number of each; None for fewer than 20 photos.

    Without a `logit_bias` a temperature is fitted: scores are then softmax(logits / temperature). With one, a scale and
    a bias over all pairs of photo and label: scores are 1 / (1 + exp(-(scale * (logits + logit_bias) + bias))).
    """
    if len(logits) < FEWEST_PHOTOS:
        return None
    fit, judge = halves(len(logits))
    if logit_bias is None:
        temperature = fit_temperature(logits[fit], truth[fit])
        fitted, scaled, bias = {"temperature": temperature}, logits / temperature, None
    else:
        positive = np.arange(logits.shape[1]) == truth[:, None]
        platt = fit_platt(logits[fit] + logit_bias, positive[fit])
        fitted = {"scale": platt.scale, "bias": platt.bias}
        scaled, bias = platt.logits(logits + logit_bias), 0.0
    before, after = answers(logits[judge], truth[judge], logit_bias), answers(scaled[judge], truth[judge], bias)
    return CalibratedScores(
        fitted,
        len(fit),
        len(judge),
        calibration_error(before.confidence, before.right),
        calibration_error(after.confidence, after.right),
        reliability(before.confidence, before.right),
        reliability(after.confidence, after.right),
    )
