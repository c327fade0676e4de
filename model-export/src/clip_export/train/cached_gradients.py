"""Gradients of a large contrastive batch in the memory of a small one: cached embeddings (GradCache, Gao et al. 2021).

A contrastive loss does not fall apart into micro-batches, but its encoders do. All micro-batches are embedded without a
graph; the loss of all embeddings gives its gradient with respect to each embedding; then each micro-batch is embedded
again, with a graph and the same random numbers, and its embeddings' gradients are sent back through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Embed = Callable[[Tensor], Tensor]


def cached_backward(
    model: nn.Module,
    encoders: tuple[Embed, Embed],
    inputs: tuple[list[Tensor], list[Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    scaled: Callable[[Tensor], Tensor],
) -> Tensor:
    """Adds to the gradients of all parameters what `loss(…).backward()` of the whole batch would; returns the loss.

    `inputs`: the micro-batches of images and those of texts, for the encoders of the same place. `loss` takes all
    embeddings, images [n, dim] and texts [n, dim]. `scaled` is the loss scaling of float16, or the identity.
    """
    states: list[list[Random]] = []
    leaves: list[Tensor] = []
    with torch.no_grad(), frozen_statistics(model):
        for embed, parts in zip(encoders, inputs, strict=True):
            states.append([])
            rows = []
            for part in parts:
                states[-1].append(Random(part.device))
                rows.append(embed(part))
            leaves.append(torch.cat(rows).requires_grad_())
    value = loss(*leaves)
    scaled(value).backward()
    for embed, parts, leaf, kept in zip(encoders, inputs, leaves, states, strict=True):
        gradients = leaf.grad.split([len(part) for part in parts])
        for part, gradient, state in zip(parts, gradients, kept, strict=True):
            with state.again():
                rows = embed(part)
            rows.backward(gradient)
    return value.detach()


class Random:
    """Where PyTorch's random numbers stand, on the CPU and on a GPU: so that dropout drops the same twice."""

    def __init__(self, device: torch.device) -> None:
        self.device = device if device.type == "cuda" else None
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if self.device else None

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within, the same random numbers come again; after it, those that would have come next."""
        with torch.random.fork_rng(devices=[self.device] if self.device else []):
            torch.set_rng_state(self.cpu)
            if self.device:
                torch.cuda.set_rng_state(self.cuda, self.device)
            yield


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within, batch norms do not move their running statistics, which each batch is to move once."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
