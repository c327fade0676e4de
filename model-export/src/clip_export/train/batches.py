"""Batches of a process: its pairs decoded, cropped and tokenised by threads, broken ones counted and left out.

Threads are enough, since PIL holds no lock while it decodes and resizes. What a pair becomes depends on the seed, the
epoch and its key alone, never on the number of threads or processes.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..preprocess import normalise, pixel_values, upright_rgb
from .crop import random_resized_crop
from .errors import PairError
from .pairs import BrokenPair, Entry, Pair, Position

Tokenise = Callable[[str], tuple[list[int], bool]]
"""a text -> its token ids, cut to the context's length, and whether something was cut off"""
Pad = Callable[[list[list[int]]], torch.Tensor]
"""token ids of n texts -> [n, length]"""


@dataclass(frozen=True)
class Preparation:
    """What becomes of a pair."""

    image: dict
    """the manifest's size, resize, interpolation, mean and std"""
    tokenise: Tokenise
    pad: Pad
    crop: float = 1.0
    """least share of a picture's area that is shown; 1: as for evaluation, nothing is random"""
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    pair: Pair
    pixels: np.ndarray
    """float32 [3, size, size]"""
    ids: list[int]
    cut: bool


@dataclass(frozen=True)
class Batch:
    """n pairs of this process."""

    pixels: torch.Tensor
    """float32 [n, 3, size, size]"""
    ids: torch.Tensor
    """int64 [n, length]"""
    pairs: list[Pair]
    position: Position
    """behind its last pair"""
    cut: int
    """texts of the first epoch that were longer than the context"""


class Skipped:
    """Pairs that are left out: each is listed once, in a file if one is given."""

    def __init__(self, file: Path | None = None, strict: bool = False) -> None:
        self.file, self.strict = file, strict
        lines = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []
        self.keys = {line.partition("\t")[0] for line in lines}

    def add(self, broken: BrokenPair) -> None:
        """Raises PairError if none may be left out."""
        key, why = (" ".join(part.split()) for part in (broken.key, broken.why))
        if self.strict:
            raise PairError(f"{key}: {why} (without --strict it is left out)")
        if key in self.keys:
            return
        self.keys.add(key)
        if self.file:
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(f"{key}\t{why}\n")


def prepare(entry: Entry, epoch: int, how: Preparation) -> Prepared | BrokenPair:
    """Decodes and tokenises; what PIL cannot read becomes a BrokenPair."""
    if isinstance(entry, BrokenPair):
        return entry
    settings = [how.image[key] for key in ("size", "resize", "interpolation", "mean", "std")]
    try:
        with Image.open(BytesIO(entry.image) if isinstance(entry.image, bytes) else entry.image) as image:
            if how.crop < 1:
                random = np.random.default_rng([how.seed, epoch, zlib.crc32(entry.key.encode())])
                crop = random_resized_crop(upright_rgb(image), settings[0], settings[2], how.crop, random)
                pixels = normalise(crop, *settings[3:])
            else:
                pixels = pixel_values(image, *settings)
    except FileNotFoundError:
        return BrokenPair(entry.key, "there is no such file")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # PIL's, of what is no picture
        return BrokenPair(entry.key, f"cannot be read as a picture: {error}")
    return Prepared(entry, pixels, *how.tokenise(entry.text))


def batches(
    entries: Iterator[tuple[Position, Entry]], size: int, how: Preparation, skipped: Skipped, workers: int
) -> Iterator[Batch]:
    """Batches of exactly `size` pairs; what is left at the end, if there is one, makes a smaller one.

    Raises PairError if a whole epoch has no pair that can be read.
    """
    made: list[Prepared] = []
    position, seen, cut = Position(), None, 0
    for position, prepared in _ahead(entries, how, workers, 2 * size):
        seen = position.epoch if seen is None else seen
        if isinstance(prepared, BrokenPair):
            skipped.add(prepared)
            if position.epoch > seen + 1:
                raise PairError(f"none of the pairs can be read, the last one: {prepared.key}: {prepared.why}")
            continue
        seen, cut = position.epoch, cut + (prepared.cut and position.epoch == 0)
        made.append(prepared)
        if len(made) == size:
            yield _batch(made, how.pad, position, cut)
            made, cut = [], 0
    if made:
        yield _batch(made, how.pad, position, cut)


def _batch(made: list[Prepared], pad: Pad, position: Position, cut: int) -> Batch:
    pixels = torch.from_numpy(np.stack([one.pixels for one in made]))
    return Batch(pixels, pad([one.ids for one in made]), [one.pair for one in made], position, cut)


def _ahead(
    entries: Iterator[tuple[Position, Entry]], how: Preparation, workers: int, count: int
) -> Iterator[tuple[Position, Prepared | BrokenPair]]:
    """In their order, while threads prepare the next `count`."""
    waiting: deque[tuple[Position, Future]] = deque()
    pool = ThreadPoolExecutor(workers, "prepare")
    try:
        for position, entry in entries:
            waiting.append((position, pool.submit(prepare, entry, position.epoch, how)))
            if len(waiting) > count:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
