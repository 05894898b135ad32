"""Photos over white, and what is sent to servers that can neither turn nor composite them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from devise_tf.images import decode_image
from devise_tf.images.photo import read_photo
from devise_tf.photo_bytes import EXTENSIONS, FORMATS, plain_bytes
from tests.helpers.image_files import BLUE, RED, encode, noise


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_over_white(form):
    pixels = np.concatenate([noise(6, 7), np.zeros((6, 7, 1), "uint8")], axis=2)
    pixels[:3, :, 3], pixels[1, :, 3] = 100, 255
    encoded = encode(pixels, form, **({"lossless": True, "exact": True} if form == "WEBP" else {}))
    alpha = pixels[:, :, 3:] / 255
    np.testing.assert_allclose(read_photo(encoded).astype(int), alpha * pixels[:, :, :3] + 255 * (1 - alpha), atol=1)
    np.testing.assert_array_equal(read_photo(encoded)[1], pixels[1, :, :3])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_black_ink_in_the_alpha_channel_is_black_on_white(mode):
    ink = np.zeros((6, 7, 4), "uint8")
    ink[2, 3, 3] = 255
    expected = np.full((6, 7, 3), 255, "uint8")
    expected[2, 3] = 0
    np.testing.assert_array_equal(read_photo(encode(ink, "PNG", mode)), expected)


def test_a_transparent_color_is_laid_over_white():
    pixels = np.where(noise(6, 7)[:, :, :1] > 128, RED, BLUE).astype("uint8")
    is_red = (pixels == RED).all(axis=2, keepdims=True)
    expected = np.where(is_red, 255, pixels)
    palette = Image.fromarray(pixels).quantize(2)
    red = palette.getpixel(tuple(int(i) for i in np.argwhere(is_red[:, :, 0])[0][::-1]))
    for form in ("GIF", "PNG"):
        file = io.BytesIO()
        palette.save(file, form, transparency=red)
        np.testing.assert_array_equal(read_photo(file.getvalue()), expected)
    np.testing.assert_array_equal(read_photo(encode(pixels, "PNG", transparency=RED)), expected)


def test_what_is_sent_shows_the_same_pixels_and_is_the_file_where_nothing_is_to_be_done():
    plain = [encode(noise(7, 9), form) for form in ("JPEG", "PNG", "GIF", "BMP")]
    plain += [encode(noise(7, 9), form, exif=turned(1)) for form in ("JPEG", "PNG")]
    for encoded in [*plain, b"no image", b""]:
        assert plain_bytes(encoded) is encoded
    alpha = np.concatenate([noise(7, 9), noise(7, 9, 1)[:, :, :1]], axis=2)
    others = [encode(noise(7, 9), "JPEG", exif=turned(6)), encode(alpha, "PNG"), encode(noise(7, 9), "WEBP")]
    for encoded in others:
        np.testing.assert_array_equal(decode_image(plain_bytes(encoded)), read_photo(encoded))
    with pytest.raises(ValueError, match="^it cannot be decoded: "):
        plain_bytes(encode(noise(64, 64), "TIFF")[:3000])


def test_heic_without_pillow_heif_says_what_to_install(monkeypatch):
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(
        ValueError, match=r'^photo: it is a HEIC photo.*`pip install "devise_tf\[heic\]"`.*Received: 24'
    ):
        read_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def test_heic_is_read_by_a_registered_opener(monkeypatch):
    monkeypatch.setitem(
        Image.OPEN, "HEIF", (lambda *_: Image.fromarray(noise(5, 8)), lambda head: head[8:12] == b"heic")
    )
    np.testing.assert_array_equal(read_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), noise(5, 8))


def test_endings_are_those_of_pillow():
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in (*FORMATS, "MPO")}
    assert set(EXTENSIONS) == known | {".heic", ".heics", ".heif", ".heifs", ".hif"}
    assert all(Path(f"a{ending}").suffix == ending for ending in EXTENSIONS)
