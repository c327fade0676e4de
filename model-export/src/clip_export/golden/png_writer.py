"""A PNG writer for what PIL cannot write: every colour type at every bit depth, Adam7, and all five row filters.

Written for test fixtures: it takes samples as they shall stand in the file and does not convert, optimise or check.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
# (first column, first row, column step, row step) of Adam7's seven passes
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


@dataclass
class PngOptions:
    colour_type: int
    bit_depth: int
    interlaced: bool = False
    palette: bytes = b""
    transparency: bytes = b""
    """content of tRNS: alpha per palette entry, or the one transparent sample as 16-bit values"""
    extra_chunks: list[tuple[bytes, bytes]] = field(default_factory=list)
    idat_bytes: int = 0
    """split the compressed data into IDAT chunks of so many bytes, with an empty one in front; 0: one chunk"""


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def header(width: int, height: int, options: PngOptions) -> bytes:
    values = (width, height, options.bit_depth, options.colour_type, 0, 0, int(options.interlaced))
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *values))


def packed_rows(samples: np.ndarray, bit_depth: int) -> np.ndarray:
    """[height, width, channels] samples -> uint8 [height, bytes per row], most significant bit first."""
    height = samples.shape[0]
    if bit_depth == 16:
        return samples.astype(">u2").view(np.uint8).reshape(height, -1)
    if bit_depth == 8:
        return samples.astype(np.uint8).reshape(height, -1)
    bits = np.unpackbits(samples.astype(np.uint8).reshape(height, -1, 1), axis=2)[:, :, 8 - bit_depth :]
    return np.packbits(bits.reshape(height, -1), axis=1)


def paeth(left: np.ndarray, above: np.ndarray, corner: np.ndarray) -> np.ndarray:
    estimate = left + above - corner
    to_left, to_above, to_corner = abs(estimate - left), abs(estimate - above), abs(estimate - corner)
    nearest = np.where(to_above <= to_corner, above, corner)
    return np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)


def filtered(rows: np.ndarray, pixel_bytes: int) -> bytes:
    """Packed rows -> the bytes to compress: row y is filtered by type y % 5, so that every reader path is taken."""
    current = rows.astype(np.int16)
    above = np.vstack([np.zeros_like(current[:1]), current[:-1]])
    left, corner = np.zeros_like(current), np.zeros_like(current)
    left[:, pixel_bytes:], corner[:, pixel_bytes:] = current[:, :-pixel_bytes], above[:, :-pixel_bytes]
    prediction = [np.zeros_like(current), left, above, (left + above) // 2, paeth(left, above, corner)]
    out = bytearray()
    for y in range(len(rows)):
        out.append(y % 5)
        out += ((current[y] - prediction[y % 5][y]) & 255).astype(np.uint8).tobytes()
    return bytes(out)


def scanlines(samples: np.ndarray, options: PngOptions) -> bytes:
    pixel_bytes = max(1, samples.shape[2] * options.bit_depth // 8)
    passes = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in ADAM7] if options.interlaced else [samples]
    # a pass without pixels has no rows at all, not even their filter bytes
    rows = [packed_rows(part, options.bit_depth) for part in passes if part.size > 0]
    return b"".join(filtered(part, pixel_bytes) for part in rows)


def idat(compressed: bytes, idat_bytes: int) -> bytes:
    if idat_bytes == 0:
        return chunk(b"IDAT", compressed)
    parts = [compressed[at : at + idat_bytes] for at in range(0, len(compressed), idat_bytes)]
    return b"".join(chunk(b"IDAT", part) for part in [b"", *parts])


def write_png(samples: np.ndarray, options: PngOptions) -> bytes:
    """[height, width, channels] unsigned samples below 2 ** bit_depth -> a PNG file."""
    height, width = samples.shape[:2]
    file = SIGNATURE + header(width, height, options)
    for name, content in options.extra_chunks:
        file += chunk(name, content)
    if options.palette:
        file += chunk(b"PLTE", options.palette)
    if options.transparency:
        file += chunk(b"tRNS", options.transparency)
    file += idat(zlib.compress(scanlines(samples, options), 9), options.idat_bytes)
    return file + chunk(b"IEND", b"")
