"""Attention in steps that PyTorch's ONNX exporter can follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def plain_attention() -> Iterator[None]:
    """Within it, nn.MultiheadAttention computes the same in steps whose sizes stay open.

    Its fast path has no ONNX operator, and the exporter writes the length of the example into the other one.
    """
    fast, forward = torch.backends.mha.get_fastpath_enabled(), nn.MultiheadAttention.forward

    def attend(self: nn.MultiheadAttention, query: torch.Tensor, *others: torch.Tensor, **options: Any) -> Any:
        mask = options.get("attn_mask")
        if _is_plain(self, query, others, {**options, "attn_mask": None}):
            return _self_attention(self, query, mask), None
        return forward(self, query, *others, **options)

    torch.backends.mha.set_fastpath_enabled(False)
    nn.MultiheadAttention.forward = attend
    try:
        yield
    finally:
        nn.MultiheadAttention.forward = forward
        torch.backends.mha.set_fastpath_enabled(fast)


def _is_plain(
    attention: nn.MultiheadAttention, query: torch.Tensor, others: tuple[torch.Tensor, ...], options: dict[str, Any]
) -> bool:
    """Self-attention within [batch, length, width] of which nobody asks for the weights."""
    alone = len(others) == 2 and all(other is query for other in others)
    packed = attention.in_proj_weight is not None and attention.bias_k is None and not attention.add_zero_attn
    batches = attention.batch_first and query.dim() == 3
    return alone and packed and batches and options == {"attn_mask": None, "need_weights": False}


def _self_attention(attention: nn.MultiheadAttention, inputs: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """[batch, length, width] -> the same; `mask` [length, length] is added to the scores."""
    batch, heads, head_width = inputs.shape[0], attention.num_heads, attention.head_dim
    together = nn.functional.linear(inputs, attention.in_proj_weight, attention.in_proj_bias)
    queries, keys, values = (
        part.reshape(batch, -1, heads, head_width).transpose(1, 2) for part in together.chunk(3, dim=-1)
    )
    scores = (queries * head_width**-0.5) @ keys.transpose(-1, -2)  # [batch, heads, length, length]
    if mask is not None:
        scores = scores + mask
    mixed = (scores.softmax(dim=-1) @ values).transpose(1, 2).reshape(batch, -1, heads * head_width)
    return attention.out_proj(mixed)
