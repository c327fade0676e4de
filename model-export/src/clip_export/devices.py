"""Where PyTorch computes: the choice of `--device`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .errors import ExportError

KINDS = ("cpu", "cuda", "mps")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""by the names of Arithmetic (precision.py)"""


def find_device(name: str | None = None) -> torch.device:
    """`cpu`, `cuda`, `cuda:1` or `mps`; without a name CUDA's first device if there is one, else the CPU.

    Raises ExportError for a device that is not there.
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name is None:
        return torch.device("cuda" if cards else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ExportError(f"--device {name}: there are {', '.join(KINDS)}, and cuda:1 for the second card") from error
    if device.type not in KINDS or (device.type != "cuda" and device.index):
        raise ExportError(f"--device {name}: there are {', '.join(KINDS)}, and cuda:1 for the second card")
    if device.type == "cuda" and (device.index or 0) >= cards:
        seen = f"{cards} CUDA devices" if cards else "no CUDA device"
        raise ExportError(f"--device {name}: PyTorch {torch.__version__} sees {seen} here; --device cpu always works")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ExportError(f"--device {name}: PyTorch {torch.__version__} sees no Apple GPU here; take --device cpu")
    return device


@contextmanager
def lent_to(device: torch.device, model: nn.Module) -> Iterator[None]:
    """The model's weights lie on the device while the block runs, and on the CPU again after it: what else is done with
    a checkpoint (its weights read, graphs made) is done there."""
    if device.type == "cpu":
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.cpu()
