"""Runs a bundle by the code that answers at the edge: this repository's `scripts/encode-bundle.ts`, in Node.

Decoder, resize, tokenizer and inference engine (or onnxruntime-web) are the Worker's own. Where Node or the
repository's packages are missing there is nothing to run: `find_edge` says why.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .errors import ExportError
from .progress import Track, silent

SCRIPT = Path("scripts/encode-bundle.ts")
OLDEST_NODE = (22, 18)
"""the first that runs TypeScript as it is"""
IMAGES, TEXTS = 16, 64
"""files, or texts, of one request"""


class EdgeError(ExportError):
    """The edge's code cannot run here, or cannot run this bundle; the message says why."""


@dataclass(frozen=True)
class EdgeCode:
    """A checkout of this repository, and the Node that runs it."""

    node: Path
    repository: Path


@dataclass(frozen=True)
class EdgeEmbeddings:
    """What the edge makes of pictures or texts, [n, dim] float32, unit rows; NaN for a picture that it refuses."""

    embeddings: np.ndarray
    refused: dict[int, str] = field(default_factory=dict)
    """by row number, why"""
    token_ids: list[list[int]] = field(default_factory=list)
    """of texts"""
    milliseconds: dict[str, float] = field(default_factory=dict)
    """of each stage (decode, preprocess, encode), for one picture or text: of the batches' means, the median"""


def find_edge(*near: Path) -> EdgeCode:
    """Looks for the repository around these folders, around the current one, and around this file.

    Raises EdgeError if there is none, its packages are not installed, or there is no Node that runs it.
    """
    starts = [*near, Path.cwd(), Path(__file__)]
    folders = (folder for start in starts for folder in (start.resolve(), *start.resolve().parents))
    repository = next((folder for folder in folders if (folder / SCRIPT).is_file()), None)
    if repository is None:
        raise EdgeError("neither the bundle nor this folder lies in Edgeclip's repository: run it from a checkout")
    if not (repository / "node_modules").is_dir() or not (repository / "build" / "engine.wasm").is_file():
        raise EdgeError(f"the packages of {repository} are not installed: run `npm install` there")
    return EdgeCode(_find_node(repository), repository)


def _find_node(repository: Path) -> Path:
    """The npm package `node`'s, or else the one on the PATH."""
    own = repository / "node_modules" / "node" / "bin" / ("node.exe" if sys.platform == "win32" else "node")
    found = [path for path in (own, shutil.which("node")) if path and Path(path).is_file()]
    if not found:
        raise EdgeError(f"there is no Node here: install Node {OLDEST_NODE[0]} or newer, and run `npm install`")
    node = Path(found[0])
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = tuple(int(part) for part in shown.removeprefix("v").split(".")[:2] if part.isdigit())
    if version < OLDEST_NODE:
        oldest = ".".join(map(str, OLDEST_NODE))
        raise EdgeError(f"{node} is {shown or 'no Node'}; {oldest} or newer is needed: run `npm install`")
    return node


def edge_images(code: EdgeCode, bundle: Path, files: Sequence[Path], track: Track = silent) -> EdgeEmbeddings:
    """Pictures, from their files. Raises EdgeError if the bundle does not run at the edge."""
    with _process(code, bundle) as ask:
        answers = _in_batches(ask, "images", [str(file.resolve()) for file in files], IMAGES, track)
    rows = _rows(answers)
    refused: dict[int, str] = {}
    starts = range(0, len(files), IMAGES)
    for start, answer in zip(starts, answers, strict=True):
        refused |= {start + int(index): why for index, why in answer["refused"].items()}
    rows[list(refused)] = np.nan
    counts = [len(files[start : start + IMAGES]) - len(a["refused"]) for start, a in zip(starts, answers, strict=True)]
    return EdgeEmbeddings(rows, refused, milliseconds=_per_item(answers, counts))


def edge_texts(code: EdgeCode, bundle: Path, texts: Sequence[str], track: Track = silent) -> EdgeEmbeddings:
    """Texts, tokenised and embedded. Raises EdgeError if the bundle has no text encoder that runs at the edge."""
    with _process(code, bundle) as ask:
        answers = _in_batches(ask, "texts", texts, TEXTS, track)
    ids = [ids for answer in answers for ids in answer["tokenIds"]]
    counts = [len(answer["tokenIds"]) for answer in answers]
    return EdgeEmbeddings(_rows(answers), token_ids=ids, milliseconds=_per_item(answers, counts))


Ask = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def _process(code: EdgeCode, bundle: Path) -> Iterator[Ask]:
    """A process for one encoder, as in an isolate that is asked for it alone; it is ended with the block."""
    command = [code.node, code.repository / SCRIPT, bundle.resolve()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=code.repository, stderr=log, **pipes)
        try:
            yield lambda request: _answer(process, log, request)
        finally:
            process.kill()
            process.communicate()


def _answer(process: subprocess.Popen[str], log: TextIO, request: dict[str, Any]) -> dict[str, Any]:
    with suppress(BrokenPipeError):  # it has ended: its log says why
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        process.wait()
        log.seek(0)
        said = [row for row in log.read().splitlines() if "Error" in row] or [f"exit code {process.returncode}"]
        raise EdgeError(f"{SCRIPT.name} ended: {said[0].strip()}")
    answer = json.loads(line)
    if "failed" in answer:
        raise EdgeError(answer["failed"])
    return answer


def _in_batches(ask: Ask, kind: str, items: Sequence[str], size: int, track: Track) -> list[dict[str, Any]]:
    """The first item is asked for once more before, unmeasured: it loads the encoder."""
    ask({kind: items[:1]})
    starts = track(range(0, len(items), size), f"{kind}, edge")
    return [ask({kind: items[start : start + size]}) for start in starts]


def _rows(answers: Sequence[dict[str, Any]]) -> np.ndarray:
    """[n, dim], of all answers."""
    values = np.frombuffer(b"".join(base64.b64decode(answer["embeddings"]) for answer in answers), "<f4")
    return values.reshape(-1, answers[0]["embeddingDim"]).copy()


def _per_item(answers: Sequence[dict[str, Any]], counts: Sequence[int]) -> dict[str, float]:
    """The median over the answers, each with the number of its pictures or texts that were embedded."""
    measured = [(a["milliseconds"], count) for a, count in zip(answers, counts, strict=True) if count]
    stages = sorted({stage for times, _ in measured for stage in times})
    return {s: float(np.median([times.get(s, 0) / count for times, count in measured])) for s in stages}
