"""Makes encoded images for the tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RED, BLUE = (200, 100, 30), (20, 60, 220)


def picture(height=20, width=30, color=RED):
    return np.full((height, width, 3), color, "uint8")


def noise(height=40, width=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), "uint8")


def encode(array, file_format, mode=None, **options):
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, file_format, **options)
    return buffer.getvalue()


def animated_gif(*frames):
    first, *others = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, comment=b"x" * 600)
    return buffer.getvalue()


def png_header(height, width):
    """A PNG whose header claims a size that its data do not have."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
