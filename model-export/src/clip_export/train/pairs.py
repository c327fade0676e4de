"""Pairs of a picture and a text before they are decoded: what a list or shards give, and an endless stream of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import PairError
from .ranks import Ranks


@dataclass(frozen=True)
class Pair:
    """`key` names it for people, and is the same in every epoch."""

    key: str
    image: Path | bytes
    """a file, or its bytes"""
    text: str


@dataclass(frozen=True)
class BrokenPair:
    """What is no pair, and why."""

    key: str
    why: str


Entry = Pair | BrokenPair


@dataclass(frozen=True)
class Position:
    """How far a process has read: `drawn` entries of its share of an epoch, broken ones included."""

    epoch: int = 0
    drawn: int = 0


class Pairs(Protocol):
    """What can be read as pairs."""

    name: str

    def count(self) -> int | None:
        """Pairs in all, of all processes; None where finding out would mean to read everything from afar."""
        ...

    def epoch(self, number: int, seed: int, ranks: Ranks, start: int) -> Iterator[Entry]:
        """This process's share, in an order that `number` and `seed` fix, from its entry `start` on."""
        ...

    def in_order(self, ranks: Ranks) -> Iterator[Entry]:
        """This process's share as it lies on the disk."""
        ...


def open_pairs(name: str) -> Pairs:
    """A list (.csv, .tsv), or WebDataset shards by braces ("shards-{0000..0099}.tar"). Raises PairError."""
    # webdataset takes a second to load, and a list does without
    if name.lower().endswith((".csv", ".tsv")):
        from .pair_list import read_pair_list

        return read_pair_list(Path(name))
    if ".tar" in name.lower():
        from .shards import Shards

        return Shards.named(name)
    raise PairError(f"{name}: pairs are a .csv or .tsv with the columns image and text, or shards-{{0000..0099}}.tar")


def endless(pairs: Pairs, seed: int, ranks: Ranks, start: Position) -> Iterator[tuple[Position, Entry]]:
    """Epoch after epoch, each entry with the position behind it. Raises PairError where an epoch has no entries."""
    epoch, drawn = start.epoch, start.drawn
    while True:
        before = drawn
        for entry in pairs.epoch(epoch, seed, ranks, drawn):
            drawn += 1
            yield Position(epoch, drawn), entry
        if drawn == before == 0:
            raise PairError(f"{pairs.name} has no pairs for process {ranks.rank} of {ranks.world}")
        epoch, drawn = epoch + 1, 0
