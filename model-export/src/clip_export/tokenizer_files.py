"""A checkpoint's tokenizer files: loaded as transformers does it, and refused where they are not of the model."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import cached_file

from .tokenizer import TokenizerError

FILES = (
    "tokenizer.json",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
)
"""what transformers reads a vocabulary from; without any of them some of its classes make up an empty one"""


def load_library(name: str) -> PreTrainedTokenizerBase:
    """As AutoTokenizer reads it, of a folder or by its name on the hub. Raises TokenizerError."""
    with having_files(name):
        return AutoTokenizer.from_pretrained(name)


@contextmanager
def having_files(name: str | None) -> Iterator[None]:
    """For loading a tokenizer of transformers', of a folder or by its name on the hub; None: of neither.

    Raises TokenizerError for whatever goes wrong, and where there is no file of a vocabulary.
    """
    in_folder = name is not None and Path(name).is_dir()
    if in_folder:
        check_files(name)
    try:
        yield
    except Exception as error:  # of somebody's files anything may come
        what = textwrap.shorten(f"{type(error).__name__}: {error}", 400, placeholder=" …")
        raise TokenizerError(f"the tokenizer {name} cannot be loaded: {what}") from error
    if name is not None and not in_folder:
        check_files(name)  # the files that the hub has are at hand now


def check_files(name: str) -> None:
    if not any(cached_file(name, file, _raise_exceptions_for_missing_entries=False) for file in FILES):
        raise TokenizerError(f"there is no tokenizer in {name}: none of {', '.join(FILES)}")


def vocabulary_of(name: str) -> dict[str, int] | None:
    """Tokens and their ids, where a checkpoint states them in JSON; None: it does not."""
    for file, read in (
        ("tokenizer.json", lambda stated: stated["model"]["vocab"]),
        ("vocab.json", lambda stated: stated),
    ):
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        if path:
            try:
                return dict(read(json.loads(Path(path).read_text(encoding="utf-8"))))
            except (ValueError, KeyError, TypeError) as error:
                raise TokenizerError(f"{path} is no tokenizer: {type(error).__name__}: {error}") from error
    return None


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """`rows`: of the text encoder's token table. Raises TokenizerError if a token has none."""
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise TokenizerError(
            f"its tokenizer has ids up to {highest}, the text encoder's token table has {rows} rows: "
            "they are of different checkpoints"
        )
