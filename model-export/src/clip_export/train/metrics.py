"""What a run measures, a line of JSON each, so that a run that is cut off has lost nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..atomic import whole_file

Row = dict[str, float]
"""`step`, and either the training's numbers (`loss`, `logit_scale`, …) or the evaluation's (`image_to_text@1`, …)"""


@dataclass(frozen=True)
class Metrics:
    file: Path

    def write(self, row: Row) -> None:
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")

    def rows(self) -> list[Row]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]

    def keep_until(self, step: int) -> None:
        """Drops what was measured after `step`, which a continued run measures again."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        with whole_file(self.file) as unfinished:
            unfinished.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
