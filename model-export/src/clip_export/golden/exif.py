"""The smallest EXIF block that carries an orientation, in either byte order, and the turn that undoes one."""

from __future__ import annotations

import struct
from typing import Literal

from PIL import Image

JPEG_PREFIX = b"Exif\0\0"

# Image.transpose operation that, undone by a reader who honours orientation n, gives the picture back
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def orientation_exif(orientation: int, byte_order: Literal["<", ">"] = "<") -> bytes:
    """A TIFF header and one directory with the entry 0x112 (orientation, one SHORT); no `Exif\\0\\0` in front."""
    mark = b"II" if byte_order == "<" else b"MM"
    header = mark + struct.pack(byte_order + "HI", 42, 8)
    entry = struct.pack(byte_order + "HHIHH", 0x112, 3, 1, orientation, 0)
    return header + struct.pack(byte_order + "H", 1) + entry + struct.pack(byte_order + "I", 0)


def stored(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a camera held so would store: turned such that orientation n makes them upright again."""
    operation = STORED_AS[orientation]
    return upright if operation is None else upright.transpose(operation)
