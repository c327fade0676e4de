"""Golden tokens: the reference tokenizer's ids of curated texts, prompts and nonsense.

The edge does not repair mojibake ("schÃ¶n" for "schön"), since ftfy's detector is a table of its own. Texts whose ids
depend on that repair stand in a list apart: there the reference is not what the edge gives.
"""

from __future__ import annotations

import ftfy

from ..clip_tokenizer import encode, is_truncated
from ..hard_texts import MOJIBAKE, curated, nonsense, prompts


def needs_mojibake_repair(text: str) -> bool:
    return ftfy.fix_text(text) != ftfy.fix_text(text, fix_encoding=False)


def golden_tokens(context_length: int) -> dict:
    """{contextLength, cases, mojibake}: each case a text, its ids (start to end token, not padded), and if cut."""
    golden = {"contextLength": context_length, "cases": [], "mojibake": []}
    for text in dict.fromkeys([*curated(), *prompts(), *nonsense(), *MOJIBAKE]):
        ids = encode(text, context_length)
        case = {"text": text, "ids": ids, "truncated": is_truncated(text, context_length)}
        golden["mojibake" if needs_mojibake_repair(text) else "cases"].append(case)
    return golden
