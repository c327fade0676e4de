"""What can go wrong in training that a user can mend."""

from __future__ import annotations

from ..errors import ExportError


class TrainError(ExportError):
    """The run cannot start or cannot go on; the message says why, and where the last good checkpoint is."""


class PairError(TrainError):
    """The pairs cannot be used; the message names the file and, where there is one, the line."""
