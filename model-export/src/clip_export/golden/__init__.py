"""Golden files: what the reference implementations (PIL, PyTorch, open_clip's tokenizer) make of pictures and texts.

The TypeScript tests compare the edge with them. Nothing here calls the edge's code, and the edge's tests call nothing
here: the files in `test/fixtures` are all that they share. Read `writer.py` first.
"""

from .writer import write_golden

__all__ = ["write_golden"]
