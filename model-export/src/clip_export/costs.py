"""What an encoder costs: bytes in float32, and the milliseconds for one image or text on one core of this machine.

One at a time, as the edge is asked. Only ratios of such times say something on another machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch

from .bundle_encoders import ONNX
from .edge import EdgeEmbeddings
from .encoders import filled_up, open_session
from .engine.architecture import ArchitectureError
from .manifest import read_parts
from .measurements import EDGE
from .sources.source import Source
from .stages import ComparedTexts, Subject

SAMPLES = 24
"""images, or texts, of which the least time is taken: all above it is what else the machine does; the first three more
are not counted"""
WARM_UP = 3

Run = Callable[[Any], Any]


def measure_times(
    subject: Subject, pixels: np.ndarray, texts: ComparedTexts, images_at_edge: EdgeEmbeddings | None
) -> dict[str, dict[str, float]]:
    """{"image": {variant: milliseconds}, "text": …}. The engine's arithmetic in PyTorch is there to check, and no way
    to run a model: its time is left out."""
    manifest, ids = subject.manifest, texts.token_ids
    taken = {name: {"float": time} for name, time in float_milliseconds(subject.source, pixels, ids).items()}
    onnx = {name: manifest[name]["files"] for name in taken if manifest[name]["runtime"] == ONNX}
    graphs = {name: read_parts(subject.folder, files) for name, files in onnx.items()}
    fed = [filled_up(row, manifest["text"]) for row in ids] if "text" in graphs else ids
    for name, milliseconds in graph_milliseconds(graphs, pixels, fed).items():
        taken[name]["int8"] = milliseconds
    for name, edge in (("image", images_at_edge), ("text", texts.edge)):
        if edge and "encode" in edge.milliseconds:
            taken[name][EDGE] = edge.milliseconds["encode"]
    return taken


def float_bytes(subject: Subject) -> dict[str, int]:
    """Of the encoders in float32, where that can be told: by the engine's tensors, or by the float graph's file."""
    graphs, sizes = subject.graphs, {}
    for name, encoder in subject.source.encoders().items():
        if graphs:
            sizes[name] = (graphs.image if name == "image" else graphs.text).stat().st_size
            continue
        with suppress(ArchitectureError):
            encoder.architecture()
            tensors = encoder.tensors().items()
            sizes[name] = sum(4 * tensor.size for key, tensor in tensors if not key.endswith(".scale"))
    return sizes


def float_milliseconds(source: Source, pixels: np.ndarray, token_ids: Sequence[list[int]]) -> dict[str, float]:
    """Of PyTorch, {image, text}; no text without token ids."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            taken = {"image": _least(source.image.embed, [torch.from_numpy(row[None]) for row in _few(pixels)])}
            if token_ids:
                texts = [torch.tensor([row]).int() for row in _few(token_ids)]
                taken["text"] = _least(source.text.encoder.embed, texts)
    finally:
        torch.set_num_threads(threads)
    return taken


def graph_milliseconds(
    graphs: dict[str, bytes], pixels: np.ndarray, token_ids: Sequence[list[int]]
) -> dict[str, float]:
    """Of a bundle's graphs in onnxruntime's native build, {image, text}; token ids as the graph takes them."""
    feeds = {
        "image": [{"pixel_values": row[None]} for row in _few(pixels)],
        "text": [{"input_ids": np.array([row], np.int32)} for row in _few(token_ids)],
    }
    sessions = {name: open_session(graph, threads=1) for name, graph in graphs.items()}
    return {name: _least(partial(session.run, None), feeds[name]) for name, session in sessions.items()}


def _few(items: Sequence) -> Sequence:
    """From all over the list."""
    return items[:: max(1, len(items) // (WARM_UP + SAMPLES))][: WARM_UP + SAMPLES]


def _least(run: Run, items: Sequence) -> float:
    taken = []
    for item in items:
        start = time.perf_counter()
        run(item)
        taken.append(1000 * (time.perf_counter() - start))
    return min(taken[min(WARM_UP, len(taken) - 1) :])
