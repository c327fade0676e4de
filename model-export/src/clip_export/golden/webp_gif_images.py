"""WebP and GIF fixtures: stills, transparency, animations (of which the first frame counts) and odd frames."""

from __future__ import annotations

import struct
from io import BytesIO

from PIL import Image

from .exif import orientation_exif, stored
from .photos import small
from .png_images import alpha_ramp


def webp(image: Image.Image, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, "WEBP", **{"quality": 80, "method": 4, **options})
    return file.getvalue()


def with_alpha(picture: Image.Image) -> Image.Image:
    faded = picture.convert("RGBA")
    faded.putalpha(Image.fromarray(alpha_ramp(picture.height, picture.width)[:, :, 0].copy()))
    return faded


def webp_images(photos: dict[str, Image.Image]) -> dict[str, bytes]:
    """file name -> file."""
    chelsea, coffee = small(photos["chelsea"], 160, 120), small(photos["coffee"], 157, 119)
    tiny = [small(photos[name], 81, 67) for name in ("rocket", "coffee", "chelsea")]
    moving = {"save_all": True, "append_images": tiny[1:], "duration": 100, "loop": 0}
    return {
        "webp-lossy.webp": webp(chelsea),
        "webp-lossy-odd.webp": webp(coffee),
        "webp-lossless.webp": webp(tiny[1], lossless=True),
        "webp-lossy-alpha.webp": webp(with_alpha(coffee), exact=True),
        "webp-lossless-alpha.webp": webp(with_alpha(tiny[0]), lossless=True, exact=True),
        "webp-animated-lossy.webp": webp(tiny[0], **moving),
        "webp-animated-lossless.webp": webp(tiny[0], lossless=True, **moving),
        "webp-orientation-6.webp": webp(stored(small(photos["rocket"], 60, 91), 6), exif=orientation_exif(6)),
        "webp-orientation-3.webp": webp(stored(small(photos["rocket"], 60, 91), 3), exif=orientation_exif(3, ">")),
        "webp-1x1.webp": webp(small(photos["coffee"], 1, 1)),
    }


def gif(image: Image.Image, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, "GIF", **{"interlace": 0, "optimize": False, **options})
    return file.getvalue()


def image_descriptor(file: bytes | bytearray) -> int:
    """Offset of the first frame's descriptor: past the 13 bytes of header, the colour table and any extensions."""
    at = 13 + (3 * 2 ** ((file[10] & 7) + 1) if file[10] & 0x80 else 0)
    while file[at] == 0x21:
        at += 2
        while file[at] != 0:
            at += 1 + file[at]
        at += 1
    return at


def on_larger_screen(file: bytes, screen: tuple[int, int], corner: tuple[int, int]) -> bytes:
    """The same first frame, put at `corner` of a larger screen; the background is the colour table's entry 0."""
    out = bytearray(file)
    struct.pack_into("<HH", out, 6, *screen)
    out[11] = 0
    struct.pack_into("<HH", out, image_descriptor(file) + 1, *corner)
    return bytes(out)


def gif_images(photos: dict[str, Image.Image]) -> dict[str, bytes]:
    """file name -> file."""
    none = Image.Dither.NONE
    chelsea, coffee = small(photos["chelsea"], 111, 83), small(photos["coffee"], 71, 53)
    frames = [small(photos[name], 71, 53).quantize(32, dither=none) for name in ("rocket", "coffee", "chelsea")]
    moving = {"save_all": True, "append_images": frames[1:], "duration": 100, "loop": 0}
    still = coffee.quantize(64, dither=none)
    return {
        "gif-still.gif": gif(chelsea.quantize(128, dither=none)),
        "gif-interlaced.gif": gif(chelsea.quantize(64, dither=none), interlace=1),
        "gif-animated.gif": gif(frames[0], **moving),
        "gif-transparent.gif": gif(still, transparency=int(still.getpixel((3, 3)))),
        "gif-two-colours.gif": gif(coffee.quantize(2, dither=none)),
        "gif-small-frame.gif": on_larger_screen(gif(still), (90, 80), (7, 11)),
        "gif-small-transparent-frame.gif": on_larger_screen(
            gif(still, transparency=int(still.getpixel((3, 3)))), (90, 80), (7, 11)
        ),
        "gif-1x1.gif": gif(small(photos["coffee"], 1, 1).quantize(2, dither=none)),
    }
