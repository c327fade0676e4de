"""Golden predictions: scores of the samples against label lists, computed in float64 from float32 embeddings.

Every case names the tensors that it was computed from, so that a test may check the scores alone, to many digits,
or the whole way from the photo, within what quantisation costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .embeddings import Reference, rows

PLAIN = ["a photo of a {}."]
ENSEMBLE = ["a photo of a {}.", "a bad photo of the {}.", "itap of my {}."]
LISTS = {
    "three": (["cat", "dog", "coffee"], PLAIN),
    "words-without-photos": (["kitten", "puppy", "latte"], PLAIN),
    "bare": (["tabby cat", "espresso", "military uniform", "rocket", "flower"], ["{}"]),
    "ensemble": (
        ["tabby cat", "egyptian mau", "espresso", "military uniform", "mushroom", "rocket", "school bus", "goldfish"],
        ENSEMBLE,
    ),
    "one": (["cat"], PLAIN),
}
MADE_UP_SIGMOID = {"logitScale": 20.0, "logitBias": -5.0}
"""No model here has a sigmoid head; SigLIP's formula is checked with these."""


@dataclass(frozen=True)
class LabelEmbeddings:
    """Of one list: prompts [labels, templates, dim] and their normalised mean [labels, dim], both unit."""

    prompts: np.ndarray
    labels: np.ndarray


def embed_list(reference: Reference, labels: list[str], templates: list[str]) -> LabelEmbeddings:
    texts = [template.replace("{}", label) for label in labels for template in templates]
    prompts = rows(reference.embed_text(text) for text in texts).reshape(len(labels), len(templates), -1)
    mean = prompts.astype(np.float64).mean(axis=1)
    return LabelEmbeddings(prompts, (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32))


def scores(kind: str, cosines: np.ndarray, scale: float, bias: float) -> np.ndarray:
    """float64 [labels] of one image. "logit" is what goes into the softmax or the sigmoid."""
    logits = scale * cosines + bias
    if kind == "cosine":
        return cosines
    if kind == "logit":
        return logits
    if kind == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def predictions(labels: list[str], values: np.ndarray) -> list[dict]:
    """Best first; equal scores keep the labels' order."""
    order = np.argsort(-values, kind="stable")
    return [{"label": labels[index], "score": float(values[index])} for index in order]


def golden_predictions(images: dict[str, np.ndarray], reference: Reference) -> tuple[dict[str, np.ndarray], dict]:
    """(tensors, {logitScale, cases}). Tensors `labels/<list>` [labels, dim] and `prompts/<list>`
    [labels, templates, dim]."""
    tensors, cases = {}, []
    softmax = {"logitScale": reference.logit_scale, "logitBias": 0.0}
    similarities = {"softmax": softmax, "cosine": softmax, "logit": softmax, "sigmoid": MADE_UP_SIGMOID}
    for name, (labels, templates) in LISTS.items():
        embedded = embed_list(reference, labels, templates)
        tensors |= {f"labels/{name}": embedded.labels, f"prompts/{name}": embedded.prompts}
        for image, embedding in images.items():
            cosines = embedded.labels.astype(np.float64) @ embedding.astype(np.float64)
            for kind, similarity in similarities.items():
                values = scores(kind, cosines, similarity["logitScale"], similarity["logitBias"])
                what = {"image": image, "list": name, "labels": labels, "templates": templates, "scores": kind}
                cases.append(what | similarity | {"predictions": predictions(labels, values)})
    return tensors, {"logitScale": reference.logit_scale, "cases": cases}
