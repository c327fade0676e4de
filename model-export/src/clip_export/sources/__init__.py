"""Checkpoints as their libraries load them."""
