"""The encoders as plain functions, in float (PyTorch) and as a bundle's graph (onnxruntime, as at the edge).

The engine's own arithmetic is in engine/reference.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
import torch

from .devices import lent_to
from .progress import Track, silent
from .sources.source import Source
from .tokenizer import Tokenizer

EncodeImages = Callable[[np.ndarray], np.ndarray]
"""float32 [n, 3, size, size] -> float32 [n, dim], unit rows"""
EncodeTexts = Callable[[Sequence[str]], np.ndarray]
"""n texts -> float32 [n, dim], unit rows"""

Embed = Callable[[torch.Tensor], torch.Tensor]

T = TypeVar("T")

BATCH = 64


def float_image_encoder(source: Source, track: Track = silent) -> EncodeImages:
    """The checkpoint's image encoder in PyTorch, float32, on the source's device."""
    encode = image_encoder(on_device(source, source.image.embed), track, "images, float")
    return lending(source, encode)


def float_text_encoder(source: Source, track: Track = silent) -> EncodeTexts:
    """The checkpoint's text encoder in PyTorch, float32; of a source that has one."""
    embed = on_device(source, source.text.encoder.embed)
    return lending(source, text_encoder(embed, source.text.tokenizer, track, "texts, float"))


def on_device(source: Source, embed: Embed) -> Embed:
    """`embed` on the source's device, from the CPU and back."""
    return lambda values: embed(values.to(source.device)).cpu()


def lending(source: Source, encode: Callable[[T], np.ndarray]) -> Callable[[T], np.ndarray]:
    """The checkpoint's weights lie on the source's device while `encode` runs."""

    def encode_there(values: T) -> np.ndarray:
        with lent_to(source.device, source.model):
            return encode(values)

    return encode_there


def image_encoder(embed: Embed, track: Track, what: str) -> EncodeImages:
    """`embed`: float32 [batch, 3, size, size] -> float32 [batch, dim], whose rows do not depend on the batch."""

    @torch.inference_mode()
    def encode_images(pixels: np.ndarray) -> np.ndarray:
        starts = track(range(0, len(pixels), BATCH), what)
        return np.concatenate([embed(torch.from_numpy(pixels[at : at + BATCH])).numpy() for at in starts])

    return encode_images


def text_encoder(embed: Embed, tokenizer: Tokenizer, track: Track, what: str) -> EncodeTexts:
    """`embed`: token ids [batch, length] -> float32 [batch, dim]. Texts of equal length share a batch: no padding."""

    @torch.inference_mode()
    def encode_texts(texts: Sequence[str]) -> np.ndarray:
        ids = tokenizer.encode(texts)
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        batches = _equal_lengths(order, ids)
        rows = [embed(torch.tensor([ids[index] for index in batch]).int()).numpy() for batch in track(batches, what)]
        return np.concatenate(rows)[np.argsort(order)]

    return encode_texts


def graph_image_encoder(graph: Path | bytes, track: Track = silent) -> EncodeImages:
    """An ONNX image encoder. Batch 1: a dynamically quantised graph answers differently in company."""
    session = open_session(graph)

    def encode_images(pixels: np.ndarray) -> np.ndarray:
        rows = track(range(len(pixels)), "images, graph")
        return np.concatenate([session.run(None, {"pixel_values": pixels[at : at + 1]})[0] for at in rows])

    return encode_images


def graph_text_encoder(graph: Path | bytes, tokenizer: Tokenizer, track: Track = silent) -> EncodeTexts:
    """An ONNX text encoder, each text at its own length and in batch 1, as the edge runs it."""
    session = open_session(graph)

    def encode_texts(texts: Sequence[str]) -> np.ndarray:
        embeddings = []
        for ids in track(tokenizer.encode(texts), "texts, graph"):
            embeddings.append(session.run(None, {"input_ids": np.array([ids], np.int32)})[0])  # [1, length]
        return np.concatenate(embeddings)

    return encode_texts


def open_session(graph: Path | bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """A session on the CPU, of a file or of its bytes (a bundle's graph may lie in several parts).

    `threads`: 0 is one for each core.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _equal_lengths(order: list[int], ids: list[list[int]]) -> list[list[int]]:
    batches: list[list[int]] = []
    for index in order:
        last = batches[-1] if batches else None
        if last and len(last) < BATCH and len(ids[last[0]]) == len(ids[index]):
            last.append(index)
        else:
            batches.append([index])
    return batches
