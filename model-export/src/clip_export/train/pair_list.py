"""Pairs of a CSV or TSV file: a header with `image` and `text`, paths relative to the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import PairError
from .pairs import BrokenPair, Entry, Pair
from .ranks import Ranks

COLUMNS = ("image", "text")


@dataclass(frozen=True)
class PairList:
    name: str
    entries: list[Entry]

    def count(self) -> int:
        return sum(isinstance(entry, Pair) for entry in self.entries)

    def epoch(self, number: int, seed: int, ranks: Ranks, start: int) -> Iterator[Entry]:
        order = np.random.default_rng([seed, number]).permutation(len(self.entries))
        return (self.entries[index] for index in order[ranks.rank :: ranks.world][start:])

    def in_order(self, ranks: Ranks) -> Iterator[Entry]:
        return iter(self.entries[ranks.rank :: ranks.world])


def read_pair_list(file: Path) -> PairList:
    """Rows without an image or a text become BrokenPairs. Raises PairError for a file that is no such list."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
            found = reader.fieldnames or []
            if not set(COLUMNS) <= set(found):
                raise PairError(
                    f"{file}: the first line must name the columns image and text, it is {','.join(found)!r}"
                )
            entries = [_entry(file, reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise PairError(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except csv.Error as error:
        raise PairError(f"{file}, line {reader.line_num}: {error}") from error
    if not any(isinstance(entry, Pair) for entry in entries):
        raise PairError(f"{file} has no pairs")
    return PairList(file.name, entries)


def _entry(file: Path, line: int, row: dict[str, str | None]) -> Entry:
    key, (image, text) = f"{file.name}, line {line}", ((row[column] or "").strip() for column in COLUMNS)
    if not image or not text:
        return BrokenPair(key, f"no {'text' if image else 'image'}")
    if "\0" in image + text:
        return BrokenPair(key, "a NUL byte")
    return Pair(f"{key}: {image}", file.parent / image, text)
