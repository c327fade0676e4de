"""Embeds label sets of any size, in chunks of labels: neither all prompts nor their embeddings are held in memory.

A chunk's prompts are tokenised, those that are equal to the encoder computed once, and the rest sorted so that batches
are of one length, and of one template where that spares work. What is kept of a prompt is what it adds to its label's
mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .label_texts import LabelTexts
from .prompt_encoders import PromptEncoder

WINDOW = 128 * 1024
"""prompts of a chunk; of 80 templates then most batches are full"""


@dataclass(frozen=True)
class Chunk:
    """Labels that follow each other, embedded."""

    rows: np.ndarray
    """[labels, dim] float32, unit rows"""
    cut: list[str]
    """prompts that are longer than the context"""


def labels_in_chunk(texts: LabelTexts) -> int:
    """How many labels are embedded together."""
    return max(1, WINDOW * len(texts.labels) // max(texts.count(), 1))


def embed_chunks(
    texts: LabelTexts, encoder: PromptEncoder, start: int = 0, advance: Callable[[int], None] = lambda prompts: None
) -> Iterator[Chunk]:
    """The labels from `start` on. `advance` is told how many prompts were embedded since it was told the last time."""
    size = labels_in_chunk(texts)
    with encoder.running():
        for first in range(start, len(texts.labels), size):
            prompts = [texts.prompts_of(label) for label in texts.labels[first : first + size]]
            yield embed_chunk(prompts, encoder, advance)


def embed_all(texts: LabelTexts, encoder: PromptEncoder, advance: Callable[[int], None] = lambda n: None) -> Chunk:
    """Every label at once, for sets that fit into memory."""
    chunks = list(embed_chunks(texts, encoder, advance=advance))
    return Chunk(np.concatenate([chunk.rows for chunk in chunks]), [text for chunk in chunks for text in chunk.cut])


def embed_chunk(prompts: Sequence[Sequence[str]], encoder: PromptEncoder, advance: Callable[[int], None]) -> Chunk:
    """`prompts`: of each label."""
    flat = [prompt for own in prompts for prompt in own]
    ids = encoder.tokens.encode(flat)
    longest = encoder.tokens.context_length
    cut = [text for text, tokens in zip(flat, ids, strict=True) if len(tokens) >= longest]
    owners: dict[tuple[int, ...], list[int]] = {}
    places: dict[tuple[int, ...], int] = {}
    at = iter(ids)
    for label, own in enumerate(prompts):
        for place in range(len(own)):
            tokens = tuple(next(at))
            owners.setdefault(tokens, []).append(label)
            places.setdefault(tokens, place if encoder.shares_starts else 0)
    sums = torch.zeros(len(prompts), encoder.dim, dtype=torch.float64)
    for batch in batches(list(owners), places, encoder.batch):
        rows = encoder.embed(torch.tensor(batch)).double()
        labels = torch.tensor([label for tokens in batch for label in owners[tokens]])
        counts = torch.tensor([len(owners[tokens]) for tokens in batch])
        sums.index_add_(0, labels, rows.repeat_interleave(counts, dim=0))
        advance(len(labels))
    rows = torch.nn.functional.normalize(sums, dim=-1).float().numpy()  # the sum's direction is the mean's
    return Chunk(rows, [text for text in cut if encoder.tokens.is_truncated(text)])


def batches(
    texts: list[tuple[int, ...]], places: dict[tuple[int, ...], int], most: int
) -> Iterator[list[tuple[int, ...]]]:
    """Texts of one length and one place in their labels' lists, `most` or fewer."""

    def kind(tokens: tuple[int, ...]) -> tuple[int, int]:
        return places[tokens], len(tokens)

    batch: list[tuple[int, ...]] = []
    for tokens in sorted(texts, key=kind):
        if batch and (len(batch) == most or kind(tokens) != kind(batch[0])):
            yield batch
            batch = []
        batch.append(tokens)
    if batch:
        yield batch
