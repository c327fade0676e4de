"""Turns a CLIP checkpoint into what the Edgeclip Worker runs: a model bundle and label sets."""

__version__ = "0.1.0"
