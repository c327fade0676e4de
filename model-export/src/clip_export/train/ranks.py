"""The processes that train together, as torchrun starts them; one alone is a group of one and needs no torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from ..devices import find_device

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among all: `rank` counts from 0, and 0 is the one that writes and prints."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """`values` of all processes added up, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def collect(self, value: T) -> list[T]:
        """The `value` of each process, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def share(self, tensors: list[torch.Tensor]) -> None:
        """Copies the first process's into those of the others."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), 0)  # shares its memory, but records nothing to differentiate


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Joins the group that torchrun's environment variables describe: NCCL on cuda, gloo elsewhere."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()


def choose_device(name: str | None) -> torch.device:
    """As `find_device`; under torchrun each process of a machine takes its own GPU."""
    device = find_device(name)
    if device.type == "cuda":
        if device.index is None:
            device = find_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(device)
    return device


def default_precision(device: torch.device) -> str:
    """bfloat16 on a GPU that computes with it, float32 elsewhere."""
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
