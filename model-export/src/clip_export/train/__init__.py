"""Contrastive training for those who have their own pairs of pictures and texts: docs/train.md of model-export.

What one step computes is in step.py (losses.py, gather.py, cached_gradients.py, optimiser.py), what a run does around
it in loop.py. The model is a checkpoint as `sources` loads it, and what comes out is one again.
"""
