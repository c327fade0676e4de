"""A small CLIP of linear encoders, for the tests of a training step; imports nothing that takes long."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip_export.train.optimiser import make_optimiser
from clip_export.train.ranks import Ranks
from clip_export.train.step import StepSettings, Trainee, backward, make_scaler, train_step

CPU = torch.device("cpu")
PIXELS, WORDS, DIM = (3, 4, 4), 12, 8


class LinearClip(nn.Module):
    """Pixels [n, 3, 4, 4] and ids [n, length] -> unit rows [n, 8], with dropout and a batch norm if asked for."""

    def __init__(self, seed: int = 0, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        width = math.prod(PIXELS)
        self.image = nn.Sequential(
            nn.Flatten(), nn.Linear(width, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, DIM)
        )
        if norm:
            self.image.insert(2, nn.BatchNorm1d(16))
        self.tokens, self.text = nn.Embedding(WORDS, 16), nn.Sequential(nn.Dropout(dropout), nn.Linear(16, DIM))
        self.logit_scale, self.logit_bias = nn.Parameter(torch.tensor(math.log(10))), nn.Parameter(torch.tensor(-2.0))

    def trainee(self) -> Trainee:
        return Trainee(
            self,
            lambda pixels: functional.normalize(self.image(pixels), dim=-1),
            lambda ids: functional.normalize(self.text(self.tokens(ids).mean(dim=1)), dim=-1),
        )


def pairs(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, *PIXELS, generator=random), torch.randint(WORDS, (count, 5), generator=random)


def gradients(model: LinearClip, settings: StepSettings, pixels: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """Of one process, without a step."""
    model.zero_grad()
    backward(model.trainee(), settings, lambda loss: loss, pixels, ids, Ranks())
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def trained(model: LinearClip, settings: StepSettings, ranks: Ranks, steps: int, count: int) -> dict[str, Tensor]:
    """The weights after some steps, each with `count` pairs of every process: its share of the same world * count."""
    optimiser, scaler = make_optimiser(model, 0.2), make_scaler(CPU, "float32")
    for group in optimiser.param_groups:
        group["lr"] = 0.01
    for step in range(steps):
        parts = [part[ranks.rank * count :][:count] for part in pairs(count * ranks.world, step)]
        train_step(model.trainee(), optimiser, scaler, settings, *parts, ranks)
    return {name: value.detach().clone() for name, value in model.named_parameters()}
