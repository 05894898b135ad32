"""Photos as people have them: turned by their EXIF tag, and of more formats than training and serving read."""

import io
import os
import re
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from devise_tf.images.decode_image import MAX_PIXELS, MAX_SIDE, decode_image

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
MAX_BYTES = 2**29
_ORIENTATION = 0x0112
# What an orientation tag asks for: the steps that bring the rows and columns upright.
_UPRIGHT = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
# Pillow's classes are used by themselves: `Image.open` warns of sizes that are checked here, and guesses formats.
_ORIENTED = {b"\xff\xd8\xff": JpegImageFile, b"\x89PNG\r\n\x1a\n": PngImageFile}
_BY_PILLOW = dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImageFile)


def read_photo(source: str | os.PathLike | bytes, name: str = "") -> np.ndarray:
    """Reads a photo as it is meant to be seen.

    JPEG, PNG, GIF and BMP go through `decode_image`, as in training and serving: transparency is dropped, 16 bits
    become 8, and of an animation the first frame counts. WebP and TIFF go through Pillow and are treated alike. Then an
    EXIF orientation is applied; a broken EXIF block is ignored.

    Sizes are read from the header: an image with a side of more than 16,384 pixels or of more than 67,108,864 pixels in
    all is not decoded. A file of more than 512 MiB is not read to its end.

    Args:
        source: Path of the file, or bytes.
        name: String. Name of the photo in errors; by default the path.

    Returns:
        uint8 `[height, width, 3]`, RGB.

    Raises:
        ValueError: The photo is empty, too large, damaged or of another format; the message begins with the name.
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes):
        encoded, name = source, name or "photo"
    else:
        name = name or os.fspath(source)
        with open(os.path.expanduser(source), "rb") as file:
            encoded = file.read(MAX_BYTES + 1)
    if not encoded or len(encoded) > MAX_BYTES:
        size = "empty" if not encoded else f"larger than {MAX_BYTES // 2**20} MiB"
        raise ValueError(f"{name}: it is {size}, and no photo. Received: {len(encoded)} bytes")
    kind = WebPImageFile if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP" else _kind(encoded, _BY_PILLOW)
    if kind is not None:
        try:
            image = kind(io.BytesIO(encoded))
        except Exception as error:  # of a damaged file Pillow raises nearly anything
            raise _damaged(name, encoded, error) from error
        return photo_of_pillow(image, name)
    try:
        with tf.device("CPU:0"):
            pixels = decode_image(encoded).numpy()
    except tf.errors.OpError as error:
        raise _damaged(name, encoded, _reason(error)) from error
    upright = _UPRIGHT.get(_orientation(encoded))
    return pixels if upright is None else np.ascontiguousarray(upright(pixels))


def photo_of_pillow(image: Image.Image, name: str = "photo") -> np.ndarray:
    """The pixels of a Pillow image, upright and in RGB, as `read_photo` gives those of a file.

    Args:
        image: PIL.Image.Image. Any mode but those of 32 bits per channel (`I`, `F`), whose range is unknown.
        name: String. Name of the photo in errors.

    Returns:
        uint8 `[height, width, 3]`.

    Raises:
        ValueError: The image is too large, damaged, or has 32 bits per channel.
    """
    width, height = image.size
    if not (1 <= min(image.size) and max(image.size) <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise ValueError(
            f"{name}: sides must be 1 to {MAX_SIDE} pixels, with at most {MAX_PIXELS} pixels in all. "
            f"Received: height and width {height} {width}"
        )
    if image.mode in ("I", "F"):
        raise ValueError(
            f"{name}: it has 32 bits a channel, in a range that nothing says: convert it to RGB. "
            f"Received: mode={image.mode!r}"
        )
    try:
        image.load()
        try:
            image = ImageOps.exif_transpose(image)
        except Exception:  # a broken EXIF block; the picture itself is sound
            pass
        if image.mode.startswith("I;16"):
            return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
        if image.mode == "RGBa":
            image = image.convert("RGBA")
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except Exception as error:  # of a damaged file Pillow raises nearly anything
        raise ValueError(f"{name}: it cannot be decoded: {error}. Received: {width} x {height} pixels") from error


def _kind(encoded: bytes, kinds: Mapping[bytes, type]) -> type | None:
    return next((kind for magic, kind in kinds.items() if encoded.startswith(magic)), None)


def _orientation(encoded: bytes) -> int:
    """The orientation tag of a JPEG's or PNG's header, 1 to 8; anything else where there is none."""
    kind = _kind(encoded, _ORIENTED)
    try:
        # Not `getexif`, which looks behind the pixels of a PNG, and decodes them for it.
        block = kind(io.BytesIO(encoded)).info.get("exif") if kind else None
        if not block:
            return 1
        exif = Image.Exif()
        exif.load(block)
        return exif.get(_ORIENTATION, 1)
    except Exception:  # a broken header block; the picture itself is sound
        return 1


def _reason(error: tf.errors.OpError) -> str:
    """The message of an operation, without the operation's name."""
    message = re.sub(r"{{.*?}}|assertion failed:|\[Op:.*|[\[\]]", "", error.message, flags=re.DOTALL)
    return " ".join(message.split()).rstrip(".")


def _damaged(name: str, encoded: bytes, reason: object) -> ValueError:
    if "not a JPEG, PNG" in str(reason):
        reason = "it is not a JPEG, PNG, GIF, BMP, WebP or TIFF image; convert it, or leave it out"
    else:
        reason = f"it cannot be decoded: {reason}"
    return ValueError(f"{name}: {reason}. Received: {len(encoded)} bytes that begin with {encoded[:8]!r}")
