"""What verify measures of a bundle: all of it for the report, and the few numbers that go into the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .accuracy import Answers
from .calibrated_scores import CalibratedScores
from .photo_list import LeftOut, PhotoList

EDGE = "edge"
"""in `quality`, the stage that ran through Node by the edge's own code"""


@dataclass(frozen=True)
class Compared:
    """An encoder's embeddings, stage by stage, against PyTorch's."""

    on: str
    """"photos", "noise" or "texts" """
    cosines: dict[str, np.ndarray]
    """by stage, [n]; NaN for a picture that the edge refuses"""

    @property
    def count(self) -> int:
        return len(next(iter(self.cosines.values())))

    def parity(self) -> dict[str, Any]:
        """For `quality`: {count, stage: {cosineMean, cosineWorst}}."""
        result: dict[str, Any] = {"count": self.count}
        for stage, cosines in self.cosines.items():
            known = cosines[~np.isnan(cosines)] if stage == EDGE else cosines
            mean, worst = (float(known.mean()), float(known.min())) if len(known) else (np.nan, np.nan)
            result[stage] = {"cosineMean": round(mean, 6), "cosineWorst": round(worst, 6)}
        return result


@dataclass(frozen=True)
class Scored:
    """A photo list by one variant: "float" (PyTorch), "int8" (the bundle, whatever its precision) or "edge"."""

    answers: Answers
    calibrated: CalibratedScores | None
    """None: too few photos"""


@dataclass(frozen=True)
class ScoredList:
    """A photo list and what each variant says of it, with the built-in set that holds all its labels."""

    photos: PhotoList
    label_set: str
    labels: list[str]
    templates: int
    variants: dict[str, Scored]

    def best(self) -> str:
        """The variant that is nearest to what users get."""
        return next(name for name in (EDGE, "int8") if name in self.variants)

    def rounded(self) -> dict[str, Any]:
        """For `quality.accuracy`."""
        count, left_out = len(self.photos.files), len(self.photos.left_out)
        facts = {"photos": self.photos.name, "count": count, "labelSet": self.label_set}
        if left_out:
            facts["leftOut"] = left_out
        shares = {name: scored.answers.accuracy().rounded() for name, scored in self.variants.items()}
        for name, scored in self.variants.items():
            if len(scored.answers.truth) < count:
                shares[name]["refused"] = count - len(scored.answers.truth)
        calibrated = self.variants[self.best()].calibrated
        fitted = {"calibration": {"of": self.best(), **calibrated.rounded()}} if calibrated else {}
        return {**facts, **shares, **fitted}


@dataclass(frozen=True)
class Measurements:
    """All that verify found."""

    images: Compared
    texts: Compared | None
    """None: there is no text encoder"""
    lists: list[ScoredList] = field(default_factory=list)
    refused: list[LeftOut] = field(default_factory=list)
    """the pictures that PIL reads and the edge does not"""
    token_ids_differ: int | None = None
    """texts whose token ids at the edge are not the reference's; None: not measured"""
    milliseconds: dict[str, dict[str, float]] = field(default_factory=dict)
    """of one image or text: {"image": {"float": …, "edge": …}, "text": …}, on one core; none without a report"""
    edge_stages: dict[str, float] = field(default_factory=dict)
    """of `milliseconds.image.edge`, by the edge's stages: decode, preprocess, encode"""
    float_bytes: dict[str, int] = field(default_factory=dict)
    """of the encoders in float32"""

    def quality(self) -> dict[str, Any]:
        """The manifest's `quality`: {parity: {image, text}, accuracy: [per photo list]}; no texts without a text
        encoder. Times are left out: they say more of the machine than of the model."""
        parity = {"image": {"on": self.images.on, **self.images.parity()}}
        if self.texts:
            parity["text"] = self.texts.parity()
        if self.token_ids_differ is not None:
            parity["text"][EDGE]["tokenIdsDiffer"] = self.token_ids_differ
        return {"parity": parity, "accuracy": [entry.rounded() for entry in self.lists]}
