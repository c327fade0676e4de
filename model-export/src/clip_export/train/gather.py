"""Embeddings of all processes with their gradient, and gradients averaged over the processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist

from .ranks import Ranks

BUCKET = 25 * 2**20
"""bytes of gradients that are sent at once"""


class _Gather(torch.autograd.Function):
    """Backward: what every process's loss says about this process's rows, added up."""

    @staticmethod
    def forward(context: Any, rows: torch.Tensor, ranks: Ranks) -> torch.Tensor:
        context.ranks = ranks
        parts = [torch.empty_like(rows) for _ in range(ranks.world)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = context.ranks.sum(gradient.contiguous().clone())
        return total.chunk(context.ranks.world)[context.ranks.rank], None


def gather(rows: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """[n, dim] of each process, n the same everywhere -> [world * n, dim], in the order of the ranks."""
    return rows if ranks.world == 1 else _Gather.apply(rows, ranks)


def average_gradients(parameters: Iterable[torch.nn.Parameter], ranks: Ranks) -> None:
    """Replaces each gradient by its mean over the processes. All of them have the same parameters."""
    if ranks.world == 1:
        return
    bucket: list[torch.Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if bucket and (_bytes(bucket) >= BUCKET or bucket[0].dtype != parameter.grad.dtype):
            _average(bucket, ranks)
            bucket = []
        bucket.append(parameter.grad)
    if bucket:
        _average(bucket, ranks)


def _bytes(tensors: list[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _average(gradients: list[torch.Tensor], ranks: Ranks) -> None:
    flat = ranks.sum(torch.cat([gradient.flatten() for gradient in gradients])) / ranks.world
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
