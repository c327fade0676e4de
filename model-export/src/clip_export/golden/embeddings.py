"""Golden embeddings and predictions: the checkpoint in PyTorch, float32, by Hugging Face's own forward functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPModel
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from ..clip_tokenizer import encode
from ..preprocess import pixel_values


@dataclass(frozen=True)
class Reference:
    """A CLIPModel with the preprocessing it was trained with: shortest side, bicubic, OpenAI's mean and std."""

    model: CLIPModel

    @classmethod
    def load(cls, folder: Path) -> Reference:
        return cls(CLIPModel.from_pretrained(folder, dtype=torch.float32).eval())

    @property
    def size(self) -> int:
        return self.model.config.vision_config.image_size

    @property
    def context_length(self) -> int:
        return self.model.config.text_config.max_position_embeddings

    @property
    def logit_scale(self) -> float:
        return float(self.model.logit_scale.detach().exp())

    @torch.inference_mode()
    def embed_image(self, path: Path) -> np.ndarray:
        """float32 [dim], length 1."""
        how = (self.size, "shortest", "bicubic", OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)
        pixels = torch.from_numpy(pixel_values(Image.open(path), *how))
        pooled = self.model.vision_model(pixel_values=pixels[None]).pooler_output
        return unit(self.model.visual_projection(pooled)[0])

    @torch.inference_mode()
    def embed_text(self, text: str) -> np.ndarray:
        """float32 [dim], length 1. At its own length: the encoder is causal, so padding would change nothing."""
        ids = torch.tensor([encode(text, self.context_length)])
        pooled = self.model.text_model(input_ids=ids, attention_mask=torch.ones_like(ids)).pooler_output
        return unit(self.model.text_projection(pooled)[0])


def unit(embedding: torch.Tensor) -> np.ndarray:
    return (embedding / embedding.norm()).numpy()


def rows(embeddings: Iterable[np.ndarray]) -> np.ndarray:
    """float32 [n, dim]."""
    return np.stack(list(embeddings))


EMBEDDED_TEXTS = [
    *["cat", "a photo of a cat.", "a photo of a dog.", "tabby cat", "egyptian mau", "espresso", "coffee", "latte"],
    *["military uniform", "rocket", "kitten", "puppy", "a photo of a school bus.", "itap of a goldfish.", "sedan"],
    *["a bad photo of the king penguin.", "A PHOTO OF A CAT.", "  a photo  of a cat. ", "don’t", "don't", "a", "", "!"],
    *["a black and white photo of a small dog running along a beach at sunset, seen from far away", "1234567890"],
    *["café", "cafe\u0301", "日本語のテキスト", "привет мир", "مرحبا بالعالم", "नमस्ते दुनिया", "😀", "👨‍👩‍👧‍👦 ❤️"],
    *["AT&amp;T", "<b>bold</b>", "cat <|endoftext|> dog", "word " * 75, "word " * 76, "the quick brown fox " * 40],
]
