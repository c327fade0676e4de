"""The container of an engine's encoder: a safetensors file that can be copied into the engine's memory as it is.

Tensors lie in the order in which they are used. The data section begins at a multiple of 64 bytes of the file, and
every tensor at a multiple of 64 within it. safetensors allows no holes between tensors, so a tensor whose length is no
multiple of 64 is followed by one named `pad.0`, `pad.1` …: U8, zeros, up to the next multiple. Where all widths are
multiples of 16 there are next to none. The metadata has `format` and `encoder` ("image" or "text").
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from ..errors import ExportError

FORMAT = "edgeclip-engine/1"
ALIGNMENT = 64
PAD = "pad."
DTYPES = {np.dtype("int8"): "I8", np.dtype("int32"): "I32", np.dtype("float32"): "F32", np.dtype("uint8"): "U8"}


class EngineFileError(ExportError):
    """A file is not an encoder of the engine, or lacks a tensor; the message names it."""


def write_engine_file(path: Path, encoder: str, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes int8, int32, float32 and uint8 tensors in the mapping's order; `encoder` is "image" or "text"."""
    header: dict[str, object] = {"__metadata__": {"format": FORMAT, "encoder": encoder}}
    padded = _with_padding(tensors)
    at = 0
    for name, values in padded.items():
        offsets = [at, at + values.nbytes]
        header[name] = {"dtype": DTYPES[values.dtype], "shape": list(values.shape), "data_offsets": offsets}
        at += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in padded.values():
            file.write(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes())


def read_engine_tensors(content: bytes) -> dict[str, np.ndarray]:
    """All tensors of a file but its padding. Raises EngineFileError if it is no safetensors file."""
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise EngineFileError(f"not a safetensors file: {error}") from error
    return {name: values for name, values in tensors.items() if not name.startswith(PAD)}


def _with_padding(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    padded: dict[str, np.ndarray] = {}
    pads = 0
    for name, values in tensors.items():
        padded[name] = values
        missing = -values.nbytes % ALIGNMENT
        if missing:
            padded[f"{PAD}{pads}"] = np.zeros(missing, np.uint8)
            pads += 1
    return padded
