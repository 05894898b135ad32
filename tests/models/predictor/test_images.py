"""Images of every kind, good and bad."""

import io
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers.predictions import (
    PHOTOS,
    assert_answers,
)
from tests.helpers.tiny_model_dir import (
    DIMENSION,
    photo,
)


def test_images_of_every_kind(load, tmp_path):
    png = photo(2, (50, 41), "PNG")
    array = np.asarray(Image.open(io.BytesIO(png)))
    path = tmp_path / "a.png"
    path.write_bytes(png)
    predictor = load()
    expected = predictor.predict_labels(png)
    assert len(expected) == 1 and len(expected[0]) == 5
    kinds = [
        *(str(path), path, png, array, Image.open(path), Image.open(path).convert("RGBA")),
        *(array.astype(np.float32), array.astype(np.float64), tf.constant(array)),
        *([path], (png,), iter([array]), array[None], {path: 1}),
        *(bytearray(png), memoryview(png), io.BytesIO(png), [io.BytesIO(png)], (memoryview(png),)),
    ]
    for images in kinds:
        assert_answers(predictor.predict_labels(images), expected)
    with open(path, "rb") as file:
        assert_answers(predictor.predict_labels(file), expected)
    with pytest.raises(ValueError, match=r"^images\[0\]: a file must be opened in binary mode, 'rb'. Received: "):
        predictor.predict_labels(io.StringIO("text"))
    mixed = predictor.predict_labels([array, png, path, Image.open(path)])
    assert_answers(mixed, 4 * expected)
    for none in ([], (), array[None][:0]):
        assert predictor.predict_labels(none) == []
        assert predictor.embed(none).shape == (0, DIMENSION) and predictor.embed(none).dtype == np.float32


def test_exif_orientation_is_applied(load):
    """A camera held upright: the first row of the file is the right side."""
    upright = np.asarray(Image.open(io.BytesIO(photo(5, (30, 48)))))
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(file, "PNG", exif=exif)
    expected = load().predict_labels(upright)
    assert_answers(load().predict_labels(file.getvalue()), expected)
    assert_answers(load().predict_labels(Image.open(file)), expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"no image", r"^images\[1\]: it is not a JPEG"),
        (b"", r"^images\[1\]: it is empty"),
        (PHOTOS[0][:300], r"^images\[1\]: it cannot be decoded"),
        (np.zeros((4, 4), np.uint8), r"^images\[1\]: an image must be a path.*: ndarray, shape \(4, 4\), dtype=uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.int64), r"dtype=int64"),
        (None, r"Received: NoneType, shape \(\), dtype=object"),
        (np.full((4, 4, 3), 0.5), r"an image of floats must be in 0..255; multiply it by 255. Received: values 0.5 to"),
        (np.full((4, 4, 3), 256.0), r"must be in 0..255. Received: values 256 to 256"),
        (np.full((4, 4, 3), -1.0), r"must be in 0..255. Received: values -1 to -1"),
        (np.full((4, 4, 3), np.nan), r"must be in 0..255. Received: values nan to nan"),
    ],
    ids=str,
)  # fmt: skip
def test_unreadable_image_error_names_position_and_reason(load, image, message):
    for call in (load().predict_labels, load().embed):
        with pytest.raises(ValueError, match=message):
            call([PHOTOS[0], image])


def test_missing_files_are_named(load, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.jpg"):
        load().predict_labels([PHOTOS[0], tmp_path / "nowhere.jpg"])
    with pytest.raises(ValueError, match=r"^images\[0\]: .*shape \(4, 4\)"):
        load().predict_labels(np.zeros((4, 4), np.uint8))
    assert len(load().predict_labels(np.zeros((4, 4, 3)))) == 1  # black is black
    for k in (0, -1, 2.0):
        with pytest.raises(ValueError, match=f"`k` must be an integer >= 1. Received: k={k}"):
            load().predict_labels(PHOTOS[0], k=k)


def test_batches_are_answered_as_single_images(load):
    images = [photo(number, (30, 26), "PNG") for number in range(67)]
    together = load().predict_labels(images, k=3)
    assert len(together) == 67
    for position in (0, 63, 64, 66):
        assert_answers(load().predict_labels(images[position], k=3), [together[position]], atol=1e-6)
    embeddings = load().embed(images)
    np.testing.assert_allclose(load().embed(images[66]), embeddings[66:], atol=1e-6)


def test_bad_images_do_not_stop_the_others(load):
    batches = list(load().prepared([PHOTOS[0], b"", *PHOTOS[1:], "nowhere"], 3, names=list("abcdefg")))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    flat = [image for batch in batches for image in batch]
    assert str(flat[1]).startswith("b: it is empty") and isinstance(flat[6], FileNotFoundError)
    good = np.stack([image for image in flat if not isinstance(image, Exception)])
    answers, embeddings = load().predict_pixels(good, k=2)
    assert_answers(answers, load().predict_labels(PHOTOS, k=2))
    np.testing.assert_allclose(embeddings, load().embed(PHOTOS), atol=1e-6)
    batches = load().prepared(PHOTOS * 100, 2)
    next(batches)
    before = threading.active_count()
    batches.close()  # reads no more
    assert threading.active_count() < before
