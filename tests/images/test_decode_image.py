import struct

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.images import decode_image
from devise_tf.images.decode_image import augment, resize_and_crop
from tests.helpers.image_files import BLUE, RED, animated_gif, encode, noise, picture, png_header

in_graph = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])
GREY16 = np.full((20, 30), 25_700, "uint16")  # 100 of 255
TRUNCATED = encode(noise(64, 64), "JPEG")[:1500]


@pytest.mark.parametrize("decode", [decode_image, in_graph], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "encoded, colour",
    [
        (encode(picture(), "JPEG", quality=95), RED),
        (encode(picture(), "JPEG", progressive=True, quality=95), RED),
        (encode(picture(), "JPEG", "L"), (122,) * 3),
        (encode(picture(), "JPEG", "CMYK", quality=95), RED),
        (encode(picture(), "PNG"), RED),
        (encode(picture(), "PNG", "L"), (122,) * 3),
        (encode(picture(), "PNG", "LA"), (122,) * 3),
        (encode(picture(), "PNG", "RGBA"), RED),
        (encode(picture(color=(204, 102, 51)), "PNG", "P"), (204, 102, 51)),
        (encode(GREY16, "PNG"), (100,) * 3),
        (encode(picture(), "GIF"), RED),
        (animated_gif(picture(), picture(color=BLUE)), RED),
        (encode(picture(), "BMP"), RED),
        (encode(picture(), "BMP", "RGBA"), RED),
        (encode(picture(), "BMP", "L"), (122,) * 3),
    ],
    ids=lambda value: value[:4].hex() if isinstance(value, bytes) else "",
)
def test_every_kind_becomes_rgb(decode, encoded, colour):
    image = decode(encoded)
    assert image.dtype == tf.uint8
    assert image.shape == (20, 30, 3)
    np.testing.assert_allclose(image.numpy().astype(int), np.broadcast_to(colour, (20, 30, 3)), atol=2)


def test_pixels_stand_where_they_stood():
    for file_format in ("PNG", "BMP"):
        np.testing.assert_array_equal(decode_image(encode(noise(7, 5), file_format)), noise(7, 5))


@pytest.mark.parametrize("decode", [decode_image, in_graph], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "encoded, message",
    [
        (b"", "not a JPEG, PNG, GIF or BMP"),
        (b"This is a text.", "not a JPEG, PNG, GIF or BMP"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "not a JPEG, PNG, GIF or BMP"),
        (png_header(20_000, 20_000), "sides must be 1 to 16384 pixels.*20000 20000"),
        (png_header(10, 16_385), "sides must be 1 to 16384 pixels.*10 16385"),
        (png_header(9_000, 9_000), "67108864 pixels in all.*9000 9000"),
        (png_header(2**32 - 1, 2), "sides must be"),
        (png_header(10, 10)[:20], "sides must be"),
        (png_header(10, 10), "PNG"),
        (b"BM", "a BMP image must be"),
        (b"GIF89a", "a GIF image without a frame"),
        (b"\xff\xd8\xff", "JPEG"),
        (TRUNCATED, "JPEG"),
        (encode(picture(), "BMP", "P"), "a BMP image must be uncompressed"),
        (encode(picture(), "BMP", "1"), "a BMP image must be uncompressed"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else "",
)
def test_refuses(decode, encoded, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        decode(encoded)


def with_gif_frame_of(height, width, encoded):
    """Enlarges the first frame only: the GIF's own size, in its first bytes, stays small."""
    frame = encoded.index(b"\x2c\0\0\0\0")
    return encoded[: frame + 5] + struct.pack("<HH", width, height) + encoded[frame + 9 :]


def test_refuses_large_images_of_every_kind():
    jpeg = bytearray(encode(picture(), "JPEG"))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", 20_000, 30)
    bmp = bytearray(encode(picture(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 20_000, -20_000)
    gif = with_gif_frame_of(30_000, 30_000, encode(picture(), "GIF"))
    for encoded in (bytes(jpeg), bytes(bmp), gif):
        with pytest.raises(tf.errors.InvalidArgumentError, match="sides must be 1 to 16384"):
            decode_image(encoded)
    with pytest.raises(tf.errors.InvalidArgumentError, match="599 pixels in all"):
        decode_image(encode(picture(), "JPEG"), max_pixels=599)
    assert decode_image(encode(picture(), "JPEG"), max_pixels=600).shape == (20, 30, 3)


def test_later_gif_frames_are_not_unpacked():
    gif = animated_gif(noise(20, 30), noise(20, 30, seed=1))
    first = decode_image(gif)
    np.testing.assert_array_equal(first, tf.io.decode_gif(gif)[0])
    second = gif.rindex(b"\x21\xf9\x04") + 8
    assert gif[second : second + 5] == b"\x2c\0\0\0\0"
    bomb = gif[: second + 5] + struct.pack("<HH", 65_535, 65_535) + gif[second + 9 :]
    np.testing.assert_array_equal(decode_image(bomb), first)


def test_damaged_files_never_crash():
    """Any byte changed and any length cut: an image or an InvalidArgumentError, nothing else."""
    generator = np.random.default_rng(0)
    for encoded in (encode(noise(8, 8), kind) for kind in ("JPEG", "PNG", "GIF", "BMP")):
        for _ in range(40):
            damaged = bytearray(encoded)
            for position in generator.integers(0, min(len(encoded), 100), 3):
                damaged[position] = generator.integers(256)
            damaged = bytes(damaged[: generator.integers(len(encoded) // 2, len(encoded) + 1)])
            try:
                assert in_graph(damaged).shape[-1] == 3
            except tf.errors.InvalidArgumentError:
                pass


def resized(image, resize_size):
    """The oracle: TensorFlow's own antialiased resize of the whole image."""
    height, width = image.shape[:2]
    shorter = min(height, width)
    sides = [int(side * resize_size / shorter + 0.5) for side in (height, width)]
    return tf.image.resize(image, sides, antialias=True).numpy()


@pytest.mark.parametrize("shape", [(40, 60), (60, 41), (9, 7), (300, 33), (16, 16), (20, 16), (1, 50)])
def test_resize_and_crop(shape):
    image = noise(*shape)
    whole = resized(image, 16)
    top, left = (whole.shape[0] - 12) // 2, (whole.shape[1] - 12) // 2
    crop = resize_and_crop(image, image_size=12, resize_size=16)
    assert crop.dtype == tf.float32
    np.testing.assert_allclose(crop, whole[top : top + 12, left : left + 12], atol=0.02)


def test_crop_without_resizing_is_exact():
    np.testing.assert_array_equal(resize_and_crop(noise(16, 20), 12, 16), noise(16, 20)[2:14, 4:16])


@pytest.mark.parametrize("shape", [(16, 20), (40, 60), (7, 9)])
def test_augment_is_a_crop_or_its_mirror_image(shape):
    image = noise(*shape)
    whole = resized(image, 16)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (12, 12, 3)).reshape(-1, 12, 12, 3)
    windows = np.concatenate([windows, windows[:, :, ::-1]])
    positions = []
    for seed in range(60):
        crop = augment(image, 12, 16, tf.constant([seed, 1])).numpy()
        error = np.abs(windows - crop).max(axis=(1, 2, 3))
        assert error.min() < 0.05
        positions.append(error.argmin())
    assert len(set(positions)) > 25
    mirrored = np.mean(np.array(positions) >= len(windows) // 2)
    assert 0.25 < mirrored < 0.75


def test_augment_reaches_every_place():
    """Room of one pixel each way and a flip: 8 outcomes, each with probability 1 / 8."""
    image = noise(5, 5)
    seen = {augment(image, 4, 5, tf.constant([seed, 0])).numpy().tobytes() for seed in range(200)}
    assert len(seen) == 8


def test_augment_is_a_function_of_the_seed():
    seed = tf.constant([3, 4])
    first = augment(noise(), 12, 16, seed)
    np.testing.assert_array_equal(augment(noise(), 12, 16, seed), first)
    np.testing.assert_array_equal(tf.function(augment)(noise(), 12, 16, seed), first)


def test_invalid_sizes():
    for image_size, resize_size in ((17, 16), (0, 16)):
        with pytest.raises(ValueError, match=f"Received: image_size={image_size}, resize_size=16"):
            resize_and_crop(noise(), image_size, resize_size)
