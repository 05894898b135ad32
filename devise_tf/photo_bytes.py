"""Which image files TensorFlow reads as they are meant to be seen, and the pixels of all others by Pillow.

TensorFlow's operations decode JPEG, PNG, GIF and BMP. They apply no orientation and drop transparency. A file that asks
for either, or is of another format, is read by Pillow: turned as its EXIF tag says, and laid over white. Training,
evaluation, prediction and the clients of exports all ask `needs_pillow`, so that all see the same pixels.
"""

import contextlib
import functools
import io
import struct

import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

MAX_PIXELS = 2**26
MAX_SIDE = 16_384
MAX_BYTES = 2**29
# What decides about a file lies in its first bytes: the EXIF block of a JPEG is the first of its blocks.
HEAD_BYTES = 2**16
# By Pillow's names. Left out are formats that are no photos, and those that Pillow reads by starting a program.
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "HEIF"),
    *("PPM", "PSD", "QOI", "PCX", "SGI", "TGA"),
)
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".psd", ".qoi", ".pcx", ".sgi", ".rgb", ".rgba", ".bw"),
    *(".tga", ".icb", ".vda", ".vst"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ORIENTATION = 0x0112


def needs_pillow(encoded: bytes) -> bool:
    """Whether TensorFlow cannot decode an image file, or would not show it as it is meant to be seen.

    Args:
        encoded: Bytes. The file, or its first `HEAD_BYTES`.
    """
    head = encoded[:HEAD_BYTES]
    if head.startswith(b"\xff\xd8\xff"):
        return b"Exif\0\0" in head and _is_turned(_exif_of_jpeg(head))  # most files have none
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png_needs_pillow(head)
    if head.startswith(b"GIF8"):
        return _is_transparent_gif(head)
    # Plain 24-bit BMP: of others TensorFlow reads some wrongly.
    return not (head.startswith(b"BM") and head[14:18] >= b"\x28" and head[28:34] == b"\x18\0\0\0\0\0")


def pixels_by_pillow(encoded: bytes) -> np.ndarray:
    """The pixels of an image file of any format that Pillow reads, upright and over white.

    Args:
        encoded: Bytes. The file.

    Returns:
        uint8 `[height, width, 3]`, RGB. Of several frames the first.

    Raises:
        ValueError: The file is of no such format, too large, or damaged.
    """
    image = _open(encoded)
    if image is None:
        raise ValueError(
            "it is not a JPEG, PNG, GIF, BMP, WebP, TIFF or other image; convert it, or leave it out. "
            f"Received: {_start(encoded)}"
        )
    return pixels_of_image(image)


def pixels_of_image(image: Image.Image) -> np.ndarray:
    """The pixels of an image of Pillow, upright and over white; its size is checked before it is decoded.

    Args:
        image: PIL.Image.Image. Any mode but those of 32 bits a channel (`I`, `F`), whose range is unknown.

    Returns:
        uint8 `[height, width, 3]`, RGB.

    Raises:
        ValueError: The image is too large, damaged, or has 32 bits a channel.
    """
    width, height = image.size
    if not (1 <= min(image.size) and max(image.size) <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise ValueError(
            f"sides must be 1 to {MAX_SIDE} pixels, with at most {MAX_PIXELS} pixels in all. "
            f"Received: height and width {height} {width}"
        )
    if image.mode in ("I", "F"):
        raise ValueError(
            f"it has 32 bits a channel, in a range that nothing says: convert it to RGB. Received: mode={image.mode!r}"
        )
    try:
        image.load()
        return _over_white(_upright(image))
    except Exception as error:  # of a damaged file Pillow raises nearly anything
        raise ValueError(f"it cannot be decoded: {error}. Received: {width} x {height} pixels") from error


def plain_bytes(encoded: bytes) -> bytes:
    """The bytes of an image as an export takes them: as they are, or a PNG of what Pillow reads.

    Args:
        encoded: Bytes. The file. Bytes of no known format are returned as they are, for the server to refuse.

    Returns:
        Bytes that TensorFlow decodes to the pixels that training, evaluation and prediction see.

    Raises:
        ValueError: Pillow has to read the file, and it is too large or damaged.
    """
    image = _open(encoded) if needs_pillow(encoded) else None
    if image is None:
        return encoded
    file = io.BytesIO()
    Image.fromarray(pixels_of_image(image)).save(file, "PNG", compress_level=1)  # level 6 takes three times as long
    return file.getvalue()


def _open(encoded: bytes) -> Image.Image | None:
    """The image of a file, not decoded; None for bytes of no known format.

    Not by `Image.open`, which warns of sizes that are checked here.
    """
    Image.init()
    _register_heif()
    reason: Exception | None = None
    for name in FORMATS:
        factory, accepts = Image.OPEN.get(name, (None, None))
        if factory is None or accepts and accepts(encoded[:16]) is not True:
            continue
        try:
            # The factory of JPEG warns of blocks that only files of several pictures have.
            return (JpegImageFile if name == "JPEG" else factory)(io.BytesIO(encoded), "")
        except Exception as error:  # of a damaged file Pillow raises nearly anything
            reason = error if accepts else reason
    if encoded[4:8] == b"ftyp" and encoded[8:12] in _HEIF_BRANDS and "HEIF" not in Image.OPEN:
        raise ValueError(
            'it is a HEIC photo, which is read after `pip install "devise_tf[heic]"`; or convert it to JPEG. '
            f"Received: {_start(encoded)}"
        )
    if reason is not None:
        raise ValueError(f"it cannot be decoded: {reason}. Received: {_start(encoded)}") from reason
    return None


@functools.cache
def _register_heif() -> None:
    with contextlib.suppress(ModuleNotFoundError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block; the picture itself is sound
        return image


def _over_white(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return np.array(white)


def _exif_of_jpeg(head: bytes) -> bytes:
    at = 2
    while head[at : at + 1] == b"\xff":
        marker, size = head[at + 1 : at + 2], int.from_bytes(head[at + 2 : at + 4])
        if marker == b"\xe1" and head[at + 4 : at + 10] == b"Exif\0\0":
            return head[at + 10 : at + 2 + size]
        if marker == b"\xda":  # the pixels
            break
        at += 1 if marker == b"\xff" else 2 + size
    return b""


def _png_needs_pillow(head: bytes) -> bool:
    """Whether a PNG has an alpha channel, a transparent color, or an EXIF block that turns it, before its pixels."""
    if head[25:26] in (b"\4", b"\6"):
        return True
    at, kind = 8, b""
    while at + 8 <= len(head) and kind != b"IDAT":
        size, kind = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8]
        # A transparent color of 16 bits a channel is passed over: Pillow compares it with 8.
        if kind == b"tRNS" and head[24] <= 8 or kind == b"eXIf" and _is_turned(head[at + 8 : at + 8 + size]):
            return True
        at += 12 + size
    return False


def _is_transparent_gif(head: bytes) -> bool:
    """Whether a GIF's first frame has a transparent color."""
    flags = head[10:11] or b"\0"
    at = 13 + (6 << (flags[0] & 7) if flags[0] & 128 else 0)
    while head[at : at + 1] == b"!":
        if head[at + 1 : at + 2] == b"\xf9":
            return bool(int.from_bytes(head[at + 3 : at + 4]) & 1)
        at += 2
        while size := int.from_bytes(head[at : at + 1]):
            at += 1 + size
        at += 1
    return False


def _is_turned(exif: bytes) -> bool:
    """Whether the orientation of an EXIF block is another than upright; False for a broken block."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return False
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(f"{order}H" if kind == 3 else f"{order}I", exif, entry + 8)
                return 2 <= value <= 8
    except struct.error:
        pass
    return False


def _start(encoded: bytes) -> str:
    return f"{len(encoded)} bytes that begin with {encoded[:8]!r}"
