"""PNG fixtures: every colour type at every bit depth, plain and Adam7, and the odd ones that readers trip over."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from .exif import orientation_exif, stored
from .photos import small
from .png_writer import GREY, GREY_ALPHA, PALETTE, RGB, RGB_ALPHA, PngOptions, write_png

DEPTHS = {GREY: [1, 2, 4, 8, 16], RGB: [8, 16], PALETTE: [1, 2, 4, 8], GREY_ALPHA: [8, 16], RGB_ALPHA: [8, 16]}
NAMES = {GREY: "grey", RGB: "rgb", PALETTE: "palette", GREY_ALPHA: "grey-alpha", RGB_ALPHA: "rgb-alpha"}


def alpha_ramp(height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 1], 0 at the left to 255 at the right: transparent pixels keep their colours."""
    return np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 1))


def at_depth(eight_bit: np.ndarray, depth: int) -> np.ndarray:
    """8-bit samples -> samples of another depth. 16 bits get a low byte of their own, which a reader has to drop."""
    if depth < 8:
        return eight_bit >> (8 - depth)
    if depth == 8:
        return eight_bit
    low = (np.arange(eight_bit.size, dtype=np.uint16).reshape(eight_bit.shape) * 37) & 255
    return (eight_bit.astype(np.uint16) << 8) | low


def palette_samples(picture: Image.Image, depth: int) -> tuple[np.ndarray, bytes]:
    """([height, width, 1] indices, PLTE) with 2 ** depth colours, or 200 of the 256 that 8 bits could have."""
    colours = 200 if depth == 8 else 2**depth
    quantised = picture.quantize(colours, dither=Image.Dither.NONE)
    return np.asarray(quantised)[:, :, None], bytes(quantised.getpalette()[: colours * 3])


def channels(picture: Image.Image, colour_type: int) -> np.ndarray:
    """uint8 [height, width, channels] of a colour type without palette."""
    pixels = np.asarray(picture if colour_type in (RGB, RGB_ALPHA) else picture.convert("L"))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if colour_type in (GREY_ALPHA, RGB_ALPHA):
        return np.concatenate([pixels, alpha_ramp(*pixels.shape[:2])], axis=2)
    return pixels


def plain(picture: Image.Image, colour_type: int, depth: int, interlaced: bool) -> bytes:
    options = PngOptions(colour_type, depth, interlaced)
    if colour_type == PALETTE:
        samples, options.palette = palette_samples(picture, depth)
        return write_png(samples, options)
    return write_png(at_depth(channels(picture, colour_type), depth), options)


def with_transparency(picture: Image.Image, colour_type: int, depth: int, interlaced: bool) -> bytes:
    """With a tRNS chunk: half of the palette's entries, or the colour of the pixel in the middle."""
    options = PngOptions(colour_type, depth, interlaced)
    if colour_type == PALETTE:
        samples, options.palette = palette_samples(picture, depth)
        options.transparency = bytes(range(0, 250, 40))[: max(1, 2**depth // 2)]
    else:
        samples = at_depth(channels(picture, colour_type), depth)
        middle = samples[samples.shape[0] // 2, samples.shape[1] // 2]
        options.transparency = struct.pack(f">{len(middle)}H", *(int(sample) for sample in middle))
    return write_png(samples, options)


def every_kind(picture: Image.Image) -> dict[str, bytes]:
    files = {}
    for interlaced, suffix in ((False, ""), (True, "-adam7")):
        for colour_type, depths in DEPTHS.items():
            for depth in depths:
                name = f"png-{NAMES[colour_type]}-{depth}"
                files[f"{name}{suffix}.png"] = plain(picture, colour_type, depth, interlaced)
                if colour_type in (PALETTE, GREY, RGB) and depth in (1, 2, 4, 8):
                    files[f"{name}-trns{suffix}.png"] = with_transparency(picture, colour_type, depth, interlaced)
    return files


def oriented(upright: Image.Image) -> bytes:
    options = PngOptions(RGB, 8, extra_chunks=[(b"eXIf", orientation_exif(6, ">"))])
    return write_png(np.asarray(stored(upright, 6)), options)


def png_images(photos: dict[str, Image.Image]) -> dict[str, bytes]:
    """file name -> file. 71x53: odd in both, so that Adam7's passes and packed rows end in part of a byte."""
    picture = small(photos["coffee"], 71, 53)
    pixels = np.asarray(picture)
    files = every_kind(picture)
    for width, height in ((1, 1), (3, 2), (5, 1), (1, 9)):
        files[f"png-{width}x{height}-adam7.png"] = plain(small(photos["chelsea"], width, height), RGB, 8, True)
    files["png-orientation-6.png"] = oriented(small(photos["rocket"], 60, 91))
    files["png-many-idat.png"] = write_png(pixels, PngOptions(RGB, 8, idat_bytes=100))
    return files
