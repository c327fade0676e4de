"""What the engine must know of a model besides its weights, and which models it can run.

Supported: image encoders that are ViTs and text Transformers of any size whose widths the kernels can cut into panels
of 8 columns. Here are the checks that all checkpoints share, and Hugging Face's `CLIPModel`; `SiglipModel` is in
engine/siglip.py, open_clip's models are in engine/open_clip.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import CLIPConfig, PreTrainedConfig

from ..errors import ExportError

PANEL = 8
"""output columns that a kernel computes at once"""

ACTIVATIONS = {
    "quick_gelu": "quick_gelu",  # x * sigmoid(1.702 x)
    "gelu": "gelu",  # x * Phi(x), by erf
    "gelu_new": "gelu_tanh",  # the three names of transformers for the approximation by tanh
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
}
"""transformers' `hidden_act` -> the manifest's `activation`"""


class ArchitectureError(ExportError):
    """The engine does not have what this checkpoint needs; the message has the numbers."""


def image_architecture(config: CLIPConfig) -> dict[str, Any]:
    """The manifest's `image.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    vision = config.vision_config
    transformer = config_architecture("image", vision, config.projection_dim)
    patch = patch_size(vision.image_size, vision.patch_size, vision.num_channels)
    return {**transformer, "patch": patch, "classToken": True, "preNorm": True, "pooling": "cls"}


def text_architecture(config: CLIPConfig) -> dict[str, Any]:
    """The manifest's `text.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    transformer = config_architecture("text", config.text_config, config.projection_dim)
    return {**transformer, "causal": True, "pooling": "first-eot"}


def sees_padding(text: dict[str, Any]) -> bool:
    """Whether a text's embedding depends on what it is padded with: then the manifest must have `padTo` and `padId`.

    The id is the tokenizer's: what configurations say of it is a default that their models do not use.
    """
    return not text["causal"] or text["pooling"] == "last"


def config_architecture(
    name: str, config: PreTrainedConfig, embedding_dim: int, projection: bool = True
) -> dict[str, Any]:
    """`transformer_architecture` of one of transformers' configurations."""
    if config.hidden_act not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ArchitectureError(f"{name} encoder: the activation {config.hidden_act!r} is none of {known}")
    return transformer_architecture(
        name,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        mlp=config.intermediate_size,
        activation=ACTIVATIONS[config.hidden_act],
        eps=config.layer_norm_eps,
        embedding_dim=embedding_dim if projection else None,
    )


def transformer_architecture(
    name: str,
    *,
    layers: int,
    width: int,
    heads: int,
    mlp: int,
    activation: str,
    eps: float,
    embedding_dim: int | None,
) -> dict[str, Any]:
    """What images and texts have in common.

    `name`: "image" or "text", for errors. `activation`: the manifest's name. `embedding_dim`: None without projection.
    """
    widths = {"width": width, "head width": width / heads, "MLP width": mlp, "embedding": embedding_dim or width}
    for what, value in widths.items():
        if value % PANEL:
            raise ArchitectureError(f"{name} encoder: the {what} {value:g} is not a multiple of {PANEL}")
    return {
        "layers": layers,
        "width": width,
        "heads": heads,
        "mlp": mlp,
        "activation": activation,
        "layerNormEps": eps,
        "projection": embedding_dim is not None,
    }


def patch_size(image: int | Sequence[int], patch: int | Sequence[int], channels: int) -> int:
    """Pixels a side, of an image of `image` pixels a side; those beyond the last whole patch are not looked at."""
    if channels != 3:
        raise ArchitectureError(f"image encoder: {channels} channels, the engine takes 3")
    size, side = _square("image", image), _square("patch", patch)
    if side > size:
        raise ArchitectureError(f"image encoder: the patch {side} is larger than the image {size}")
    return side


def _square(what: str, size: int | Sequence[int]) -> int:
    sides = [size] if isinstance(size, int) else list(size)
    if len(set(sides)) > 1:
        raise ArchitectureError(f"image encoder: the {what} is {sides[0]} x {sides[1]}, the engine takes squares")
    return sides[0]
