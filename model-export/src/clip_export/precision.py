"""How exactly a bundle's ONNX graphs hold their weights, and how exactly PyTorch computes."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """The manifest's `precision`, and what its encoders are called in `quality.parity`."""

    INT8 = "int8"
    """weights of 8 bits, products of integers where they are large"""
    FLOAT16 = "float16"
    """matrices of 16 bits in the file; arithmetic, and weights in the edge's memory, in 32"""
    FLOAT32 = "float32"
    """the graph as PyTorch writes it, constants folded"""


class Arithmetic(StrEnum):
    """Of the matrix products of a checkpoint's encoders in PyTorch; its weights are float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
