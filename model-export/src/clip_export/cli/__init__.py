"""The command line: options and examples. What the commands do is in `commands`, which is imported
when one runs: `--help` need not wait for PyTorch to load."""

from . import (  # each adds itself, in the order of `--help`
    compare_templates,
    export,
    golden,
    labels,
    publish,
    push,
    train,
    verify,
)
from .app import app

__all__ = ["app", "compare_templates", "export", "golden", "labels", "publish", "push", "train", "verify"]
