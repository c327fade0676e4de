"""The two contrastive losses, of one process's rows against the rows of all.

Each process computes its share; the mean of the shares over the processes is the loss of the whole batch, so gradients
that are averaged over the processes (gather.py) are those of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .gather import gather
from .ranks import Ranks

Loss = Callable[[Tensor, Tensor, Tensor, Tensor | None, Ranks], Tensor]
"""(images [n, dim], texts [n, dim], logit scale, logit bias, ranks) -> this process's share of the loss.
Unit rows, float32; row i of both is a pair. The logit scale is already exponentiated."""

MAX_LOGIT_SCALE = 100.0
"""where InfoNCE's is clipped (Radford et al. 2021, 2.5)"""
CHUNK = 1024
"""texts whose logits the sigmoid loss holds at a time"""


def info_nce(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor | None, ranks: Ranks) -> Tensor:
    """Each image's own text among all texts, and each text's own image among all images (Radford et al. 2021).

    A bias changes nothing, since the softmax takes it out, and is ignored.
    """
    own = torch.arange(len(images), device=images.device) + ranks.rank * len(images)
    by_image = functional.cross_entropy(scale * images @ gather(texts, ranks).T, own)
    by_text = functional.cross_entropy(scale * texts @ gather(images, ranks).T, own)
    return (by_image + by_text) / 2


def sigmoid(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor | None, ranks: Ranks) -> Tensor:
    """Every image with every text, each pair a question of yes or no (Zhai et al. 2023, eq. 1); the mean over images.

    The logits are made CHUNK texts at a time, and again in the backward pass: no process ever holds them all.
    """
    gathered = gather(texts, ranks)
    start, total = ranks.rank * len(images), images.new_zeros(())
    for at in range(0, len(gathered), CHUNK):
        part = gathered[at : at + CHUNK]
        total = total + checkpoint(_sigmoid_part, images, part, scale, bias, start - at, use_reentrant=False)
    return total / len(images)


def _sigmoid_part(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor, diagonal: int) -> Tensor:
    """The sum over [images, texts]; the text of image i is number i + `diagonal` of `texts`, if it is among them."""
    logits = scale * images @ texts.T + bias
    columns = torch.arange(len(texts), device=texts.device)
    rows = torch.arange(len(images), device=images.device)
    sign = 2.0 * (columns == rows[:, None] + diagonal) - 1.0
    return -functional.logsigmoid(sign * logits).sum()


LOSSES: dict[str, Loss] = {"infonce": info_nce, "sigmoid": sigmoid}
