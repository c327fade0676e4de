"""One optimisation step: gradients of the whole batch, averaged over the processes, clipped, and applied."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..devices import DTYPES
from .cached_gradients import cached_backward
from .errors import TrainError
from .gather import average_gradients
from .losses import LOSSES, MAX_LOGIT_SCALE
from .ranks import Ranks


class NotFinite(TrainError):
    """The loss or a gradient is infinite or NaN. The weights are still those of the step before."""


@dataclass(frozen=True)
class Trainee:
    """What a step trains: a model whose `logit_scale` (a logarithm) and, for the sigmoid loss, `logit_bias` are
    parameters, and its two encoders, inputs [n, …] -> unit rows [n, dim]."""

    model: nn.Module
    embed_images: Callable[[Tensor], Tensor]
    embed_texts: Callable[[Tensor], Tensor]

    @property
    def logit_bias(self) -> nn.Parameter | None:
        return getattr(self.model, "logit_bias", None)


@dataclass(frozen=True)
class StepSettings:
    """How a step is computed."""

    loss: str = "infonce"
    """a name of LOSSES"""
    micro_batch: int | None = None
    """pairs that are in memory with their graph at a time; None: the whole batch"""
    precision: str = "float32"
    """a name of DTYPES, of the encoders' products; the loss and the weights are float32"""
    clip_norm: float | None = None
    """the largest norm of all gradients together"""


@dataclass(frozen=True)
class Measured:
    """Of the batch of all processes."""

    loss: float
    gradient_norm: float
    """before it was clipped"""


def make_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Loss scaling for float16, whose small gradients would vanish; does nothing for the other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def train_step(
    trainee: Trainee,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    settings: StepSettings,
    pixels: Tensor,
    ids: Tensor,
    ranks: Ranks,
) -> Measured:
    """Pixel values [n, 3, size, size] and token ids [n, length] of this process's pairs, n the same for all processes.

    Raises NotFinite, and then has changed no weight.
    """
    optimiser.zero_grad(set_to_none=True)
    share = backward(trainee, settings, scaler.scale, pixels, ids, ranks)
    loss = float(ranks.sum(share.clone())) / ranks.world
    if not math.isfinite(loss):
        raise NotFinite(f"the loss is {loss}")
    average_gradients(trainee.model.parameters(), ranks)
    scaler.unscale_(optimiser)
    limit = math.inf if settings.clip_norm is None else settings.clip_norm
    norm = float(nn.utils.clip_grad_norm_(trainee.model.parameters(), limit))
    if not math.isfinite(norm) and not scaler.is_enabled():  # a scaler skips such a step and scales less
        raise NotFinite(f"the loss is {loss:.4g}, but the norm of its gradient {norm}")
    scaler.step(optimiser)
    scaler.update()
    if settings.loss == "infonce":
        with torch.no_grad():
            trainee.model.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
    return Measured(loss, norm)


def backward(
    trainee: Trainee,
    settings: StepSettings,
    scaled: Callable[[Tensor], Tensor],
    pixels: Tensor,
    ids: Tensor,
    ranks: Ranks,
) -> Tensor:
    """Leaves this process's gradients in the parameters; returns its share of the loss."""
    model, dtype = trainee.model, DTYPES[settings.precision]

    def in_precision(embed: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def embedded(inputs: Tensor) -> Tensor:
            with torch.autocast(inputs.device.type, dtype, enabled=dtype != torch.float32):
                return embed(inputs).float()

        return embedded

    def loss(images: Tensor, texts: Tensor) -> Tensor:
        return LOSSES[settings.loss](images, texts, model.logit_scale.exp(), trainee.logit_bias, ranks)

    encoders = in_precision(trainee.embed_images), in_precision(trainee.embed_texts)
    size = settings.micro_batch or len(pixels)
    if size >= len(pixels):
        value = loss(encoders[0](pixels), encoders[1](ids))
        scaled(value).backward()
        return value.detach()
    return cached_backward(model, encoders, (list(pixels.split(size)), list(ids.split(size))), loss, scaled)
