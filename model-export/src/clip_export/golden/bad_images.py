"""Broken and hostile files, each with the error codes that may answer it (`src/clip/errors.ts`). All are small.

Where a lenient decoder may reasonably show a picture, `may_decode` says so; it must then cost next to nothing.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .jpeg_images import jpeg
from .photos import small
from .png_writer import RGB, SIGNATURE, PngOptions, chunk, header, write_png
from .progressive_bomb import progressive_bomb
from .webp_gif_images import gif, image_descriptor, webp

NO_IMAGE, CORRUPT, TOO_LARGE = "unsupported_image", "corrupt_image", "image_too_large"


@dataclass(frozen=True)
class BadImage:
    content: bytes
    why: str
    codes: tuple[str, ...]
    may_decode: bool = False


def no_images() -> dict[str, BadImage]:
    """Files that are something else, whatever their name says."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>\n'
    avif = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"avif", 0, b"avif", b"mif1") + struct.pack(">I4s", 8, b"meta")
    return {
        "text.jpg": BadImage(b"This is a text, not a photo.\n", "text", (NO_IMAGE,)),
        "empty.jpg": BadImage(b"", "zero bytes", (NO_IMAGE, "missing_image")),
        "one-byte.png": BadImage(b"\x89", "one byte", (NO_IMAGE, CORRUPT)),
        "drawing.svg": BadImage(svg, "SVG: no pixels to decode", (NO_IMAGE,)),
        "document.pdf": BadImage(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF", (NO_IMAGE,)),
        "photo.avif": BadImage(avif, "AVIF: a format that is not decoded here", (NO_IMAGE,)),
    }


def truncated(picture: Image.Image) -> dict[str, BadImage]:
    """Cut in the middle of the pixels, or within the header."""
    whole = {
        "jpg": jpeg(picture),
        "progressive.jpg": jpeg(picture, progressive=True),
        "png": write_png(np.asarray(picture), PngOptions(RGB, 8)),
        "adam7.png": write_png(np.asarray(picture), PngOptions(RGB, 8, interlaced=True)),
        "webp": webp(picture),
        "lossless.webp": webp(picture, lossless=True),
        "gif": gif(picture.quantize(64)),
    }
    files = {}
    for name, file in whole.items():
        files[f"truncated.{name}"] = BadImage(file[: len(file) // 2], "half of the file", (CORRUPT,))
        if name in ("jpg", "png", "webp", "gif"):
            files[f"truncated-header.{name}"] = BadImage(file[:20], "20 bytes", (CORRUPT, NO_IMAGE))
    return files


def jpeg_of_claimed_size(file: bytes, width: int, height: int) -> bytes:
    """The file with another size written into its baseline frame header (SOF0)."""
    out = bytearray(file)
    struct.pack_into(">HH", out, file.index(b"\xff\xc0\x00\x11\x08") + 5, height, width)
    return bytes(out)


def jpeg_lies(picture: Image.Image) -> dict[str, BadImage]:
    file = jpeg(picture)
    noise = bytearray(file)
    at = file.index(b"\xff\xda") + 40
    noise[at : at + 400] = b"\xff\xd5\x00\xff\xc4\x55\xaa\x13" * 50
    return {
        "claims-65500.jpg": BadImage(jpeg_of_claimed_size(file, 65500, 65500), "65500x65500 claimed", (TOO_LARGE,)),
        "claims-0.jpg": BadImage(jpeg_of_claimed_size(file, 0, 0), "0x0 claimed", (CORRUPT, NO_IMAGE)),
        "claims-more.jpg": BadImage(jpeg_of_claimed_size(file, 160, 1200), "ten times the rows claimed", (CORRUPT,)),
        "noise.jpg": BadImage(bytes(noise), "400 bytes of the scan overwritten", (CORRUPT,), may_decode=True),
        "progressive-bomb.jpg": BadImage(progressive_bomb(), "12 megapixels, 1400 scans", (TOO_LARGE, CORRUPT)),
    }


def claimed_png(width: int, height: int, rows: int, row_bytes: int) -> bytes:
    """An RGB header of one size, with a deflate stream of `rows` zero rows of `row_bytes`."""
    compressor = zlib.compressobj(9)
    stream = b"".join(compressor.compress(bytes(row_bytes)) for _ in range(rows)) + compressor.flush()
    return SIGNATURE + header(width, height, PngOptions(RGB, 8)) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


def png_lies(picture: Image.Image) -> dict[str, BadImage]:
    file = write_png(np.asarray(picture), PngOptions(RGB, 8))
    ihdr_crc, idat_crc = bytearray(file), bytearray(file)
    ihdr_crc[29] ^= 255
    idat_crc[-13] ^= 255  # IEND takes the last 12 bytes
    flipped = bytearray(file)
    flipped[len(file) // 2] ^= 255
    no_idat = SIGNATURE + header(9, 9, PngOptions(RGB, 8)) + chunk(b"IEND", b"")
    odd_depth = SIGNATURE + header(9, 9, PngOptions(RGB, 3)) + file[33:]
    return {
        "bomb-30000.png": BadImage(claimed_png(30000, 30000, 64, 90001), "30000x30000 of zeros", (TOO_LARGE,)),
        "more-data.png": BadImage(
            claimed_png(100, 100, 1024, 65536), "64 MB behind a 100x100 header", (CORRUPT,), may_decode=True
        ),
        "less-data.png": BadImage(claimed_png(100, 100, 10, 301), "10 of 100 rows", (CORRUPT,)),
        "wrong-crc-header.png": BadImage(bytes(ihdr_crc), "check sum of IHDR", (CORRUPT,), may_decode=True),
        "wrong-crc-data.png": BadImage(bytes(idat_crc), "check sum of IDAT", (CORRUPT,), may_decode=True),
        "flipped-byte.png": BadImage(bytes(flipped), "one byte of IDAT", (CORRUPT,)),
        "no-data.png": BadImage(no_idat, "no IDAT", (CORRUPT,)),
        "claims-0.png": BadImage(claimed_png(0, 0, 1, 1), "0x0 claimed", (CORRUPT, NO_IMAGE)),
        "depth-3.png": BadImage(odd_depth, "a bit depth that does not exist", (CORRUPT, NO_IMAGE)),
    }


def webp_gif_lies(picture: Image.Image) -> dict[str, BadImage]:
    still, moving = webp(picture), webp(picture, save_all=True, append_images=[picture.rotate(180)], duration=90)
    large_still, large_canvas, long_riff = bytearray(still), bytearray(moving), bytearray(still)
    struct.pack_into("<HH", large_still, 26, 16383, 16383)  # VP8's frame header
    large_canvas[24:30] = (16383).to_bytes(3, "little") * 2  # VP8X's canvas, less one
    struct.pack_into("<I", long_riff, 4, 0x7FFFFFF0)
    drawn = gif(picture.quantize(16))
    at = image_descriptor(drawn)
    large_frame, large_screen, outside = bytearray(drawn), bytearray(drawn), bytearray(drawn)
    struct.pack_into("<HH", large_frame, at + 5, 65535, 65535)
    struct.pack_into("<HH", large_screen, 6, 65535, 65535)
    struct.pack_into("<HH", outside, at + 1, 40, 30)
    return {
        "claims-16383.webp": BadImage(bytes(large_still), "16383x16383 claimed", (TOO_LARGE,)),
        "canvas-16384.webp": BadImage(bytes(large_canvas), "a canvas of 16384x16384", (TOO_LARGE,)),
        "long-riff.webp": BadImage(bytes(long_riff), "a RIFF of 2 GB claimed", (CORRUPT,), may_decode=True),
        "frame-65535.gif": BadImage(bytes(large_frame), "a frame of 65535x65535", (TOO_LARGE, CORRUPT)),
        "screen-65535.gif": BadImage(bytes(large_screen), "a screen of 65535x65535", (TOO_LARGE,)),
        "frame-outside.gif": BadImage(bytes(outside), "a frame half outside", (CORRUPT,), may_decode=True),
        "no-frame.gif": BadImage(drawn[:at] + b"\x3b", "no frame", (CORRUPT,)),
    }


def bad_images(photos: dict[str, Image.Image]) -> dict[str, BadImage]:
    """file name -> file."""
    picture = small(photos["chelsea"], 80, 60)
    parts = (no_images(), truncated(picture), jpeg_lies(picture), png_lies(picture), webp_gif_lies(picture))
    return {name: file for part in parts for name, file in part.items()}
