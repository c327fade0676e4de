"""AdamW as CLIP is trained with it, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

BETAS, EPSILON = (0.9, 0.98), 1e-6
"""Radford et al. 2021, table 19, for ViTs"""


def make_optimiser(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained.

    Norms, biases, the logit scale and all else that is no matrix do not decay. The learning rate is set at each step.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    decays = [parameter for name, parameter in trained if _decays(name, parameter)]
    others = [parameter for name, parameter in trained if not _decays(name, parameter)]
    groups = [{"params": decays, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=0.0, betas=BETAS, eps=EPSILON, fused=True)  # on a CPU, too, the fastest


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and not name.endswith("bias")


class MovingAverage:
    """Exponential moving average of the trained parameters: average = decay * average + (1 - decay) * parameter.

    The decay is at most (1 + steps) / (10 + steps), so that the first weights, which may be random, are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.averages = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step 0, 1, …"""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.averages.values()), list(self.parameters.values()), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the model has the averages as its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(kept)

    def load(self, averages: dict[str, torch.Tensor]) -> None:
        for name, value in averages.items():
            self.averages[name].copy_(value)
