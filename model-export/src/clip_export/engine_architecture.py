"""What the engine must know of a CLIPModel besides its weights, and which CLIPModels it can run.

Supported: Hugging Face's `CLIPModel`, a ViT image encoder and a causal text Transformer of any size whose widths the
kernels can cut into panels of 8 columns.
"""

from __future__ import annotations

from typing import Any

from transformers import CLIPConfig
from transformers.models.clip.configuration_clip import CLIPTextConfig, CLIPVisionConfig

from .errors import ExportError

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
    if vision.num_channels != 3:
        raise ArchitectureError(f"image encoder: {vision.num_channels} channels, the engine takes 3")
    if vision.image_size % vision.patch_size:
        raise ArchitectureError(
            f"image encoder: the size {vision.image_size} is not a multiple of the patch {vision.patch_size}"
        )
    transformer = _transformer("image", vision, config.projection_dim)
    return {**transformer, "patch": vision.patch_size, "preNorm": True, "pooling": "cls"}


def text_architecture(config: CLIPConfig) -> dict[str, Any]:
    """The manifest's `text.architecture`. Raises ArchitectureError for an encoder that the engine cannot run."""
    transformer = _transformer("text", config.text_config, config.projection_dim)
    return {**transformer, "causal": True, "pooling": "first-eot"}


def _transformer(name: str, config: CLIPVisionConfig | CLIPTextConfig, embedding_dim: int) -> dict[str, Any]:
    width, heads, mlp = config.hidden_size, config.num_attention_heads, config.intermediate_size
    widths = {"width": width, "head width": width / heads, "MLP width": mlp, "embedding": embedding_dim}
    for what, value in widths.items():
        if value % PANEL:
            raise ArchitectureError(f"{name} encoder: the {what} {value:g} is not a multiple of {PANEL}")
    if config.hidden_act not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ArchitectureError(f"{name} encoder: the activation {config.hidden_act!r} is none of {known}")
    return {
        "layers": config.num_hidden_layers,
        "width": width,
        "heads": heads,
        "mlp": mlp,
        "activation": ACTIVATIONS[config.hidden_act],
        "layerNormEps": config.layer_norm_eps,
    }
