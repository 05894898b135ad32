"""Photos of every format, turned in every way, damaged and of sizes that must not be decoded."""

import io
import resource
import struct

import numpy as np
import pytest
from PIL import Image

from devise_tf.images import decode_image
from devise_tf.images.photo import photo_of_pillow, read_photo
from devise_tf.photo_bytes import needs_pillow
from tests.helpers.image_files import BLUE, RED, animated_gif, encode, noise, picture, png_header

GREY16 = np.full((20, 30), 25_700, "uint16")  # 100 of 255
# Where the file's first row and first column are in the picture, from the EXIF specification.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def upright(stored, orientation):
    """Puts each pixel of the file where the picture has it."""
    first_row, first_column = SIDES[orientation]
    height, width = stored.shape[:2] if first_row in ("top", "bottom") else stored.shape[1::-1]
    picture = np.zeros((height, width, 3), "uint8")
    for row in range(stored.shape[0]):
        for column in range(stored.shape[1]):
            at = {}
            for side, number in ((first_row, row), (first_column, column)):
                if side in ("top", "bottom"):
                    at["y"] = number if side == "top" else height - 1 - number
                else:
                    at["x"] = number if side == "left" else width - 1 - number
            picture[at["y"], at["x"]] = stored[row, column]
    return picture


def exif_block(orientation, order="<", kind=3):
    """An EXIF block with a camera's name and an orientation, which is a short (3) or a long (4) number."""
    value = struct.pack(order + ("HH" if kind == 3 else "I"), orientation, *((0,) if kind == 3 else ()))
    entries = struct.pack(order + "HHI", 0x010F, 2, 4) + b"abc\0" + struct.pack(order + "HHI", 0x0112, kind, 1) + value
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 2)
    return b"Exif\0\0" + head + entries + struct.pack(order + "I", 0)


def tiff(array, mode=None, **options):
    return encode(array, "TIFF", mode, **options)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP"])
def test_what_training_reads_is_read_alike(form):
    encoded = encode(noise(17, 23), form)
    photo = read_photo(encoded)
    assert photo.dtype == np.uint8 and photo.shape == (17, 23, 3)
    np.testing.assert_array_equal(photo, decode_image(encoded))


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation(form, orientation):
    pixels = noise(5, 8, seed=1)
    if form == "TIFF":
        encoded = tiff(pixels, tiffinfo={274: orientation})
    else:
        encoded = encode(pixels, form, exif=exif_block(orientation), **({"lossless": True} if form == "WEBP" else {}))
    stored = np.asarray(Image.open(io.BytesIO(encode(pixels, "JPEG")))) if form == "JPEG" else pixels
    photo = read_photo(encoded)
    assert needs_pillow(encoded) == (orientation > 1 or form in ("WEBP", "TIFF"))
    # TensorFlow's decoder of JPEG rounds in another way than Pillow's.
    np.testing.assert_allclose(photo.astype(int), upright(stored, orientation), atol=8 * (orientation == 1))
    assert photo.flags.c_contiguous
    # Of the image as Pillow opens it, the same.
    np.testing.assert_allclose(photo_of_pillow(Image.open(io.BytesIO(encoded))).astype(int), photo, atol=8)


@pytest.mark.parametrize(("order", "kind"), [("<", 4), (">", 3), (">", 4)])
def test_orientation_in_any_form_of_number(order, kind):
    encoded = encode(noise(5, 8), "PNG", exif=exif_block(6, order, kind))
    np.testing.assert_array_equal(read_photo(encoded), upright(noise(5, 8), 6))


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage that is no TIFF",
        exif_block(6)[:20],
        exif_block(6)[:-9],
        exif_block(0),
        exif_block(9),
        b"Exif\0\0II*\0\xff\xff\xff\xff",
    ],
    ids=["empty", "garbage", "cut in the first entry", "cut in the last entry", "0", "9", "beyond the end"],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_is_passed_over(form, block):
    pixels = picture(6, 9)
    encoded = encode(pixels, form, exif=block, **({"quality": 95} if form != "PNG" else {}))
    photo = read_photo(encoded)
    assert photo.shape == (6, 9, 3)
    np.testing.assert_allclose(photo.astype(int), pixels, atol=4)


@pytest.mark.parametrize(
    ("encoded", "colour"),
    [
        (encode(picture(), "JPEG", "CMYK", quality=95), RED),
        (encode(GREY16, "PNG"), (100,) * 3),
        (encode(picture(color=(204, 102, 51)), "PNG", "P", transparency=0), (204, 102, 51)),
        (encode(picture(color=(204, 102, 51)), "BMP", "P"), (204, 102, 51)),
        (encode(picture(color=(255, 255, 255)), "BMP", "1"), (255,) * 3),
        (encode(picture(), "AVIF", quality=95), RED),
        (encode(picture(), "JPEG2000"), RED),
        (encode(picture(), "PPM"), RED),
        (encode(picture(), "TGA"), RED),
        (animated_gif(picture(), picture(color=BLUE)), RED),
        (tiff(picture()), RED),
        (tiff(picture(), compression="tiff_lzw"), RED),
        (tiff(picture(), "L"), (122,) * 3),
        (tiff(picture(), "LA"), (122,) * 3),
        (tiff(picture(), "RGBA"), RED),
        (tiff(picture(), "CMYK"), RED),
        (tiff(picture(color=(204, 102, 51)), "P"), (204, 102, 51)),
        (tiff(picture(color=(255, 255, 255)), "1"), (255,) * 3),
        (tiff(GREY16), (100,) * 3),
        (tiff(GREY16.astype(">u2")), (100,) * 3),
        (encode(picture(), "WEBP", lossless=True), RED),
        (encode(picture(), "WEBP", quality=95), RED),
    ],
    ids=lambda value: value[:4].hex() if isinstance(value, bytes) else "",
)
def test_every_kind_becomes_rgb(encoded, colour):
    photo = read_photo(encoded)
    assert photo.dtype == np.uint8 and photo.shape == (20, 30, 3)
    np.testing.assert_allclose(photo.astype(int), np.broadcast_to(colour, (20, 30, 3)), atol=4)


def test_the_first_frame_counts():
    frames = [Image.fromarray(noise(6, 7, seed)) for seed in range(2)]
    for form, options in (("WEBP", {"lossless": True}), ("TIFF", {})):
        file = io.BytesIO()
        frames[0].save(file, form, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_photo(file.getvalue()), noise(6, 7))


def huge_tiff():
    encoded = tiff(picture())
    for tag in (256, 257):  # width and height
        at = encoded.index(
            struct.pack("<HH", tag, 4) if struct.pack("<HH", tag, 4) in encoded else struct.pack("<HH", tag, 3)
        )
        encoded = encoded[:at] + struct.pack("<HHII", tag, 4, 1, 30_000) + encoded[at + 12 :]
    return encoded


def huge_webp():
    """A WebP whose canvas is as large as can be, 16,384 squared, with one small frame."""
    frame = encode(picture(), "WEBP", lossless=True)[12:]
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + (2**14 - 1).to_bytes(3, "little") * 2
    animation = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    head = bytes(6) + (29).to_bytes(3, "little") + (19).to_bytes(3, "little") + bytes(4)
    body = b"WEBP" + canvas + animation + b"ANMF" + struct.pack("<I", len(head + frame)) + head + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("encoded", "size"),
    [
        (png_header(30_000, 30_000), "30000 30000"),
        (png_header(10, 16_385), "10 16385"),
        (png_header(9_000, 9_000), "9000 9000"),
        (huge_tiff(), "30000 30000"),
        (huge_webp(), ""),
    ],
    ids=["png", "long png", "png of many pixels", "tiff", "webp"],
)
def test_what_is_too_large_takes_no_memory(encoded, size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=rf"(?s)^photo: .*(sides must be 1 to 16384 pixels.*{size}|exceeds limit)"):
        read_photo(encoded)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # KiB; the pixels of the smallest would take 243 MB


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty, and no photo. Received: 0 bytes"),
        (
            b"This is a text.\n",
            "it is not a JPEG, PNG, GIF, BMP, WebP, TIFF or other image; convert it, or leave it out.",
        ),
        (encode(noise(64, 64), "JPEG")[:1500], "it cannot be decoded: jpeg::Uncompress failed. Invalid JPEG data"),
        (encode(noise(64, 64), "PNG")[:1500], "it cannot be decoded: Invalid PNG data"),
        (encode(noise(64, 64), "WEBP")[:800], "it cannot be decoded: "),
        (tiff(noise(64, 64))[:3000], "it cannot be decoded: "),
        (b"II*\0", "it cannot be decoded: "),
        (b"RIFF\0\0\0\0WEBPVP8 ", "it cannot be decoded: "),
        (
            tiff(np.zeros((4, 4), "float32")),
            "it has 32 bits a channel, in a range that nothing says: convert it to RGB",
        ),
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "cut webp", "cut tiff", "tiff", "webp", "float tiff"],
)
def test_what_is_no_photo_is_named_with_the_reason(content, message, tmp_path):
    path = tmp_path / "a photo.jpg"
    path.write_bytes(content)
    for source, options, name in ((path, {}, str(path)), (content, {"name": "that one"}, "that one")):
        with pytest.raises(ValueError) as caught:
            read_photo(source, **options)
        assert str(caught.value).startswith(f"{name}: {message}") and "Received: " in str(caught.value)
        assert "{{" not in str(caught.value) and "Op:" not in str(caught.value)


def test_paths(tmp_path, monkeypatch):
    (tmp_path / "no ending").write_bytes(encode(noise(), "PNG"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (tmp_path / "no ending", str(tmp_path / "no ending"), "~/no ending"):
        np.testing.assert_array_equal(read_photo(path), noise())
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        read_photo(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere.jpg"):
        read_photo(tmp_path / "nowhere.jpg")


def test_a_file_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr("devise_tf.images.photo.MAX_BYTES", 2**20)
    with pytest.raises(ValueError, match="^/dev/zero: it is larger than 1 MiB, and no photo. Received: 1048577 bytes"):
        read_photo("/dev/zero")


def test_images_of_pillow():
    for mode in ("RGB", "RGBA", "RGBX", "RGBa", "LA", "CMYK", "YCbCr", "HSV", "P", "PA"):
        image = Image.fromarray(picture(color=(204, 102, 51)))
        image = image.convert("RGBA").convert(mode) if mode == "RGBa" else image.convert(mode)
        photo = photo_of_pillow(image)
        assert photo.shape == (20, 30, 3) and photo.dtype == np.uint8
        expected = (127,) * 3 if mode == "LA" else (204, 102, 51)
        np.testing.assert_allclose(photo[3, 4].astype(int), expected, atol=4)
    for mode in ("I", "F"):
        with pytest.raises(ValueError, match=f"^this: it has 32 bits a channel.*Received: mode='{mode}'"):
            photo_of_pillow(Image.new(mode, (2, 2)), "this")
    with pytest.raises(ValueError, match="^photo: sides must be 1 to 16384.*Received: height and width 1 16385"):
        photo_of_pillow(Image.new("1", (16_385, 1)))
    with pytest.raises(ValueError, match="^photo: it cannot be decoded: "):
        photo_of_pillow(Image.open(io.BytesIO(encode(noise(64, 64), "JPEG")[:1500])))
    image = Image.new("RGB", (3, 2))
    photo_of_pillow(image)[:] = 9
    assert not np.asarray(image).any()  # a copy


def test_damaged_files_never_crash():
    """Any byte changed and any length cut: a photo or a ValueError, nothing else."""
    generator = np.random.default_rng(0)
    kinds = [encode(noise(8, 8), kind, exif=exif_block(6)) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    for encoded in [*kinds, tiff(noise(8, 8), compression="tiff_lzw"), encode(noise(8, 8), "WEBP", lossless=True)]:
        for _ in range(60):
            damaged = bytearray(encoded)
            for position in generator.integers(0, len(encoded), 4):
                damaged[position] = generator.integers(256)
            damaged = bytes(damaged[: generator.integers(len(encoded) // 2, len(encoded) + 1)])
            try:
                assert read_photo(damaged).shape[-1] == 3
            except ValueError as error:
                assert str(error).startswith("photo: ")
