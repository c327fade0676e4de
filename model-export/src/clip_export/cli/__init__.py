"""The command line: options and examples. What the commands do is in `commands`, which is imported
when one runs: `--help` need not wait for PyTorch to load."""

from . import compare_templates, export, golden, labels, train, verify  # each adds itself, in the order of `--help`
from .app import app

__all__ = ["app", "compare_templates", "export", "golden", "labels", "train", "verify"]
