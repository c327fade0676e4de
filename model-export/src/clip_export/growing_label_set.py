"""A label set file that grows by chunks of rows beside its final name, and can be gone on with after a break.

`NAME.unfinished` is the file as it will be, as far as it is there; `NAME.progress.json` says how many rows of it are on
the disk, and of what set. The room for all is taken at the beginning, so that a disk that is too full says so then.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from .label_set import DTYPES, LabelSet, check_name, file_start, metadata, read_dtype, read_label_set
from .label_texts import LabelSetError

RECORD = "edgeclip-label-progress/1"


class GrowingLabelSet:
    """`facts`: the set without its embeddings; `dim`: of these; `chunk`: labels that are embedded together."""

    def __init__(self, out: Path, facts: LabelSet, dim: int, chunk: int, dtype: str = "F32") -> None:
        check_name(facts.name)
        self.out = out
        self.unfinished = out.with_name(f"{out.name}.unfinished")
        self.record = out.with_name(f"{out.name}.progress.json")
        self.metadata = metadata(facts)
        self.dtype = dtype
        self.shape = (len(facts.labels), dim)
        self.start = file_start(self.metadata, {"embeddings": self.shape}, dtype)
        self.row_bytes = dim * np.dtype(DTYPES[dtype]).itemsize
        self.made_from = hashlib.sha256(self.start + str(chunk).encode()).hexdigest()
        self.rows = 0
        self.cut: list[str] = []

    def is_done(self) -> bool:
        """Whether the file is there already, made from the same; it may have been calibrated since."""
        if not self.out.is_file():
            return False
        with suppress(LabelSetError):
            found = read_label_set(self.out)
            stated = metadata(found)
            same = all(stated.get(key) == value for key, value in self.metadata.items())
            added = {"prompts", "synonyms", "textEncoder", "examples"} & set(stated) - set(self.metadata)
            return same and not added and found.embeddings.shape == self.shape and read_dtype(self.out) == self.dtype
        return False

    def resume(self) -> int:
        """Takes the room on the disk. Returns how many labels are there of an earlier run for the same set."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            same = record["format"] == RECORD and record["madeFrom"] == self.made_from
            if same and self.unfinished.stat().st_size >= len(self.start) + record["rows"] * self.row_bytes:
                self.rows, self.cut = record["rows"], record["cut"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        if not self.rows:
            self.record.unlink(missing_ok=True)  # first: it is of what is about to be overwritten
            self.unfinished.write_bytes(self.start)
        with self.unfinished.open("r+b") as file:
            reserve(file.fileno(), len(self.start) + self.shape[0] * self.row_bytes)
        return self.rows

    def append(self, rows: np.ndarray, cut: list[str]) -> None:
        """[labels, dim]; they are on the disk when the record says so."""
        with self.unfinished.open("r+b") as file:
            file.seek(len(self.start) + self.rows * self.row_bytes)
            file.write(np.ascontiguousarray(rows, DTYPES[self.dtype]).tobytes())
            file.flush()
            os.fsync(file.fileno())
        self.rows += len(rows)
        self.cut += cut
        record = {"format": RECORD, "madeFrom": self.made_from, "rows": self.rows, "cut": self.cut}
        unfinished = self.record.with_name(f"{self.record.name}.unfinished")
        unfinished.write_text(json.dumps(record), encoding="utf-8")
        unfinished.replace(self.record)

    def finish(self) -> None:
        """Moves the file to its name."""
        if self.rows != self.shape[0]:
            raise ValueError(f"{self.rows} of {self.shape[0]} rows are there")
        os.truncate(self.unfinished, len(self.start) + self.rows * self.row_bytes)
        self.unfinished.replace(self.out)
        self.record.unlink(missing_ok=True)

    def discard_empty(self) -> None:
        """Removes what is of no use for going on."""
        if not self.rows:
            self.unfinished.unlink(missing_ok=True)
            self.record.unlink(missing_ok=True)


def reserve(descriptor: int, size: int) -> None:
    """Makes sure of the room for a file of `size` bytes. Raises OSError if it is not there."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
