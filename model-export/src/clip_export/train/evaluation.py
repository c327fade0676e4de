"""Retrieval recall of a model on pairs that it is not trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..devices import DTYPES
from .batches import Batch, Preparation, Skipped, batches
from .errors import PairError
from .pairs import Pairs, Position
from .ranks import Ranks
from .retrieval import Recall, retrieval_recall
from .step import Trainee


@dataclass(frozen=True)
class HeldOut:
    """Pairs, and how they are read: without anything random."""

    pairs: Pairs
    how: Preparation
    skipped: Skipped
    size: int
    """pairs that are embedded at a time"""
    workers: int

    def batches(self, ranks: Ranks):
        entries = ((Position(0, at), entry) for at, entry in enumerate(self.pairs.in_order(ranks), start=1))
        return batches(entries, self.size, replace(self.how, crop=1.0), self.skipped, self.workers)


@torch.inference_mode()
def evaluate(trainee: Trainee, held_out: HeldOut, precision: str, device: torch.device, ranks: Ranks) -> Recall:
    """Each process embeds its share; all return the same. Raises PairError if no pair can be read."""
    training, dtype = trainee.model.training, DTYPES[precision]
    trainee.model.eval()
    images, texts, keys = [], [], []
    try:
        for batch in held_out.batches(ranks):
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                images.append(trainee.embed_images(batch.pixels.to(device)).float().cpu().numpy())
                texts.append(trainee.embed_texts(batch.ids.to(device)).float().cpu().numpy())
            keys += _keys(batch)
    finally:
        trainee.model.train(training)
    shares = [share for share in ranks.collect((images, texts, keys)) if share[2]]
    if not shares:
        raise PairError(f"{held_out.pairs.name} has no pair that can be read")
    rows = [np.concatenate([part for share in shares for part in share[at]]) for at in (0, 1)]
    image_keys, text_keys = zip(*(key for share in shares for key in share[2]), strict=True)
    return retrieval_recall(*rows, image_keys, text_keys)


def _keys(batch: Batch) -> list[tuple[str, str]]:
    """What tells images apart: their files, or in shards their names."""
    return [(str(pair.image) if isinstance(pair.image, Path) else pair.key, pair.text) for pair in batch.pairs]
