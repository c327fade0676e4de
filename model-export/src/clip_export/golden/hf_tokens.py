"""Golden tokens of other tokenizers than CLIP's, by transformers, and of other cleanings, by open_clip.

For the reason in tokens.py, texts that ftfy repairs are left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..clip_tokenizer import ClipTokenizer
from ..edge_tokenizer import NONE
from ..hard_texts import curated, nonsense, prompts
from ..hf_tokenizer import HfTokenizer
from .small_tokenizers import load, save_gemma, save_siglip, save_t5
from .tokens import needs_mojibake_repair

CONTEXT = 32
NAMES = ["<pad>", "<eos> a <bos> cat<eos>", "＜/s＞ cat", "a<mask>b", "<0x41>", "▁a ▁▁ cat"]
"""of special tokens, in a text. Not those that SiglipTokenizer looks for before it cleans: at the edge they are text"""


@dataclass(frozen=True)
class Case:
    library: str
    save: Callable[[Path], Path]
    clean: str


CASES = [
    Case("siglip", save_siglip, NONE),
    Case("t5", save_t5, "canonicalize"),
    Case("t5", save_t5, "whitespace"),
    Case("gemma", save_gemma, NONE),
    Case("gemma", save_gemma, "canonicalize"),
]


def write_hf_tokens(out: Path) -> dict[str, Any]:
    """Writes `hf-LIBRARY.json` into `out`, each a `tokenizer.json`, but no charsmap: all have the same. Returns {texts,
    clipCanonicalize, cases: [{library, contextLength, tokenizer, ids, truncated}]}, `tokenizer` as in a manifest,
    without files; `clipCanonicalize` are the ids of CLIP's own behind open_clip's "canonicalize"."""
    texts = [*curated(), *NAMES, *prompts()[::5], *nonsense(120)]
    texts = [text for text in dict.fromkeys(texts) if not needs_mojibake_repair(text)]
    clips = ClipTokenizer(CONTEXT, clean="canonicalize")
    golden: dict[str, Any] = {"texts": texts, "clipCanonicalize": clips.encode(texts), "cases": []}
    for case in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            library = load(case.save(Path(scratch) / case.library))
            tokenizer = HfTokenizer(library, CONTEXT, len(library), case.clean)
            facts, files = tokenizer.write(Path(scratch))
            (out / f"hf-{case.library}.json").write_bytes(files[0].read_bytes())
            ids, cut = tokenizer.encode(texts), [tokenizer.is_truncated(text) for text in texts]
        numbers = {"contextLength": CONTEXT, "tokenizer": facts}
        golden["cases"].append({"library": case.library, **numbers, "ids": ids, "truncated": cut})
    return golden
