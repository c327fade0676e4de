"""The processes that train together, as torchrun starts them; one alone is a group of one and needs no torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from .errors import TrainError

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
                dist.broadcast(tensor, 0)


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
    """`name` as PyTorch has it, or the fastest at hand; under torchrun each process of a machine takes its own GPU."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch's of a build without CUDA is an assertion
        reason = str(error).splitlines()[0]
        raise TrainError(f"--device {name}: {reason}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def default_precision(device: torch.device) -> str:
    """bfloat16 on a GPU that computes with it, float32 elsewhere."""
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
