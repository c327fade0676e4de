"""Label sets: texts embedded once, so that classifying an image costs one matrix product.

A label's embedding is the mean over the templates of the prompts' unit embeddings, scaled to length 1 again.

Which text encoder embeds the built-in sets? The bundle's own int8 one: the same labels sent to the edge then get the
same embeddings, and no checkpoint is needed to make a set. It costs nothing measurable. Top-1 of tiny-64 with int8
images and float texts, then with int8 texts: 2,000 photos of 200 classes 54.6 and 54.5 % ("a photo of a {}."), 53.45
and 53.45 % (80 templates); 1,000 of CIFAR-10 88.2 and 88.1 %, 87.2 and 87.2 %. The rows' cosine is 0.9998 at worst.
With the engine's weights (images, then texts of engine/reference.py) the built-in sets give 54.55 and 54.5 %, 88.0 and
88.1 %, and the rows' cosine to float is 0.99997 at worst.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from .atomic import whole_file
from .encoders import EncodeTexts
from .label_texts import LabelSetError, LabelTexts, check_texts

FORMAT = "edgeclip-label-set/1"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MOST_HEADER_BYTES = 16 * 1024 * 1024
"""the Worker takes no longer one (src/clip/safetensors.ts)"""
DTYPES = {"F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True)
class LabelSet:
    """Labels with their embeddings [labels, dim] (float32, unit rows), made for one revision of one model."""

    name: str
    model: str
    revision: str
    labels: list[str]
    templates: list[str]
    embeddings: np.ndarray
    more: Mapping[str, str] = field(default_factory=dict)
    """further metadata, each JSON: the labels' own `prompts` or `synonyms`, the `textEncoder` that is not the bundle's,
    `examples`, and what calibration adds"""
    background: np.ndarray | None = None
    """[texts, dim], unit rows: what the labels compete with where the answer may be "none of these" """

    def texts(self) -> LabelTexts:
        """What it was made from."""
        synonyms = "synonyms" in self.more
        prompts = json.loads(self.more.get("synonyms" if synonyms else "prompts", "{}"))
        return LabelTexts(self.name, self.labels, self.templates, prompts, synonyms)


def check_name(name: str) -> None:
    """Raises LabelSetError unless the API takes `name` as the name of a label set or a model."""
    if not NAME.fullmatch(name):
        raise LabelSetError(f"the name {name!r} must match {NAME.pattern}")


def embed_labels(labels: Sequence[str], templates: Sequence[str], encode_texts: EncodeTexts) -> np.ndarray:
    """[labels, dim] float32, unit rows: per label the normalised mean of its prompts' embeddings."""
    return embed_texts(LabelTexts("", labels, templates), encode_texts)


def embed_texts(texts: LabelTexts, encode_texts: EncodeTexts) -> np.ndarray:
    """As `embed_labels`, of labels that may have prompts of their own."""
    check_texts(texts)
    prompts = [texts.prompts_of(label) for label in texts.labels]
    embeddings = encode_texts([prompt for own in prompts for prompt in own]).astype(np.float64)
    ends = np.cumsum([len(own) for own in prompts])
    mean = np.stack([rows.mean(axis=0) for rows in np.split(embeddings, ends[:-1])])
    return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)


def metadata(label_set: LabelSet) -> dict[str, str]:
    """Of the file."""
    return {
        "format": FORMAT,
        "name": label_set.name,
        "model": label_set.model,
        "revision": label_set.revision,
        "labels": json.dumps(label_set.labels, ensure_ascii=False),
        "templates": json.dumps(label_set.templates, ensure_ascii=False),
        **label_set.more,
    }


def file_start(metadata: Mapping[str, str], shapes: Mapping[str, Sequence[int]], dtype: str = "F32") -> bytes:
    """What a file begins with, up to its first tensor. Written by hand: its sha256 is the set's version, but the
    safetensors library shuffles metadata. Raises LabelSetError if it is longer than the Worker takes."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    at, size = 0, np.dtype(DTYPES[dtype]).itemsize
    for name, shape in shapes.items():
        end = at + size * int(np.prod(shape))
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensor starts at a multiple of 8 bytes
    if len(text) > MOST_HEADER_BYTES:
        raise LabelSetError(
            f"labels and prompts take {len(text)} bytes in the file, the Worker reads {MOST_HEADER_BYTES}: "
            "make several sets"
        )
    return struct.pack("<Q", len(text)) + text


def write_label_set(label_set: LabelSet, path: Path, dtype: str = "F32") -> None:
    """Writes the safetensors file beside `path`, and moves it there."""
    check_name(label_set.name)
    tensors = {"embeddings": label_set.embeddings}
    if label_set.background is not None:
        tensors["background"] = label_set.background
    start = file_start(metadata(label_set), {name: rows.shape for name, rows in tensors.items()}, dtype)
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        file.write(start)
        for rows in tensors.values():
            file.write(np.ascontiguousarray(rows, DTYPES[dtype]).tobytes())


def check_place(out: Path) -> None:
    """Before the long work: raises LabelSetError if there is no folder for `out`, or a file that is no label set."""
    if not out.parent.is_dir():
        raise LabelSetError(f"{out.parent} is no folder: make it, or choose another place for {out.name}")
    if not out.exists():
        return
    try:
        with safe_open(out, framework="numpy") as file:
            found = (file.metadata() or {}).get("format")
    except (OSError, SafetensorError):
        found = None
    if found != FORMAT:
        raise LabelSetError(f"{out} is there and no label set: it would be overwritten. Choose another name")


def read_dtype(path: Path) -> str:
    """ "F32" or "F16": of the rows as they lie in the file."""
    with safe_open(path, framework="numpy") as file:
        return file.get_slice("embeddings").get_dtype()


def read_label_set(path: Path) -> LabelSet:
    """Reads and checks a label set. Raises LabelSetError if it is none, or its rows are not of length 1."""
    try:
        with safe_open(path, framework="numpy") as file:
            found = file.metadata() or {}
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        embeddings = tensors["embeddings"]
    except (OSError, SafetensorError, KeyError) as error:
        raise LabelSetError(f"{path.name} is not a label set: {error}") from error
    if found.get("format") != FORMAT:
        raise LabelSetError(f"{path.name}: format is {found.get('format')!r}, expected {FORMAT!r}")
    try:
        labels, templates = json.loads(found["labels"]), json.loads(found["templates"])
        name, model, revision = found["name"], found["model"], found["revision"]
    except (KeyError, ValueError) as error:
        raise LabelSetError(f"{path.name} is not a label set: {error!r}") from error
    if len(labels) != len(embeddings):
        raise LabelSetError(f"{path.name}: {len(labels)} labels but {len(embeddings)} embeddings")
    if not np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=2e-3):
        raise LabelSetError(f"{path.name}: embeddings are not of length 1")
    own = {"format", "name", "model", "revision", "labels", "templates"}
    more = {key: value for key, value in found.items() if key not in own}
    return LabelSet(name, model, revision, labels, templates, embeddings, more, tensors.get("background"))
