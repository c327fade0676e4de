"""The command line: options and examples. What the commands do is in `commands`, which is imported
when one runs: `--help` need not wait for PyTorch to load."""

# each adds itself, in the order of `--help`
from . import calibrate, compare_templates, export, golden, labels, prototypes, publish, push, train, verify
from .app import app

__all__ = [
    "app",
    "calibrate",
    "compare_templates",
    "export",
    "golden",
    "labels",
    "prototypes",
    "publish",
    "push",
    "train",
    "verify",
]
