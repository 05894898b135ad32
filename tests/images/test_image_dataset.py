import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from devise_tf.images import BadImages, Crop, ExampleOrder, ImageInput, image_dataset, open_images
from devise_tf.images.decode_image import augment, decode_image, resize_and_crop
from devise_tf.images.photo import read_photo
from tests.helpers.image_files import encode, noise, png_header

CROP = Crop(16, 18)
BAD = {
    "train/b/empty.jpg": b"",
    "train/b/text.jpg": b"This is a text.",
    "train/b/truncated.jpg": encode(noise(64, 64), "JPEG")[:1500],
    "train/b/wide.png": png_header(20_000, 20_000),
}


def make_source(root, good=36, bad=BAD):
    files = {f"train/{'ac'[i % 2]}/{i:03}.jpg": encode(noise(20 + i % 3, 22, seed=i), "JPEG") for i in range(good)}
    for path, content in {**files, **bad}.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return open_images(f"folder:{root}", "train")


def is_bad(source):
    return np.array([source.label_ids[label] == "b" for label in source.labels])


def read(dataset):
    elements = list(dataset.as_numpy_iterator())
    return {key: np.stack([element[key] for element in elements]) for key in elements[0]}


def test_evaluation(tmp_path):
    source = make_source(tmp_path / "images")
    (tmp_path / "images/train/a/004.jpg").unlink()
    log = tmp_path / "bad_images.txt"
    bad_images = BadImages(source, str(log), max_share=0.2)
    examples = read(image_dataset(ImageInput(source, CROP, bad_images), tf.data.Dataset.range(40), training=False))
    bad = is_bad(source)
    bad[2] = True
    assert source.describe(2).endswith("004.jpg")
    assert bad.sum() == bad_images.count == 5
    assert {line.split("\t")[0] for line in log.read_text().splitlines()} == {
        source.describe(i) for i in np.flatnonzero(bad)
    }
    np.testing.assert_array_equal(examples["weight"], np.where(bad, 0, 1))
    np.testing.assert_array_equal(examples["label"], source.labels)
    np.testing.assert_array_equal(examples["seed"], np.zeros((40, 2)))
    for i in range(40):
        expected = np.zeros((16, 16, 3)) if bad[i] else resize_and_crop(decode_image(source.encoded(i)), 16, 18)
        np.testing.assert_allclose(examples["image"][i], expected, atol=1e-3)


def test_training(tmp_path):
    source = make_source(tmp_path)
    order = ExampleOrder(len(source), global_batch_size=10, seed=5)
    stream = read(order.dataset(3, 12))
    images = ImageInput(source, CROP, BadImages(source, max_share=0.2))
    examples = read(image_dataset(images, order.dataset(3, 12), training=True))
    assert {key: (value.shape, value.dtype) for key, value in examples.items()} == {
        "image": ((90, 16, 16, 3), np.float32),
        "label": ((90,), np.int32),
        "weight": ((90,), np.float32),
        "seed": ((90, 2), np.int32),
    }
    bad = is_bad(source)
    np.testing.assert_array_equal(examples["weight"], np.where(bad[stream["index"]], 0, 1))
    np.testing.assert_array_equal(examples["label"], source.labels[stream["index"]])
    np.testing.assert_array_equal(examples["seed"], stream["seed"])
    for i, (index, seed) in enumerate(zip(stream["index"], stream["seed"], strict=True)):
        if bad[index]:
            np.testing.assert_array_equal(examples["image"][i], 0)
        else:
            expected = augment(decode_image(source.encoded(index)), 16, 18, seed)
            np.testing.assert_allclose(examples["image"][i], expected, atol=1e-3)


def test_resuming_is_the_tail(tmp_path):
    """Chunks of another start do not change an example, bad images among them or not."""
    source = make_source(tmp_path)
    order = ExampleOrder(len(source), global_batch_size=7, seed=5)
    images = ImageInput(source, CROP, BadImages(source, max_share=0.2))
    whole, tail = (read(image_dataset(images, order.dataset(at, 12), training=True)) for at in (0, 5))
    for key in whole:
        np.testing.assert_array_equal(tail[key], whole[key][35:])


def test_shapes_and_cardinality_are_known(tmp_path):
    source = make_source(tmp_path)
    images = ImageInput(source, CROP, BadImages(source))
    dataset = image_dataset(images, ExampleOrder(40, 8, 0).dataset(0, 3), training=True)
    assert dataset.cardinality() == 24
    assert dataset.element_spec["image"] == tf.TensorSpec([16, 16, 3], tf.float32)
    assert dataset.element_spec["seed"] == tf.TensorSpec([2], tf.int32)


def test_log_names_each_bad_image_once(tmp_path):
    source = make_source(tmp_path / "images")
    log = tmp_path / "bad_images.txt"
    for _ in range(2):  # The second run finds the log of the first.
        bad_images = BadImages(source, str(log), max_share=0.2)
        for index in 3 * list(np.flatnonzero(is_bad(source))):
            bad_images.record(index)
        assert bad_images.count == 4
    assert len(log.read_text().splitlines()) == 4
    reasons = {line.split("\t")[0].rpartition("/")[2]: line.split("\t")[1] for line in log.read_text().splitlines()}
    assert reasons["empty.jpg"] == "it is empty, and no photo. Received: 0 bytes"
    assert reasons["text.jpg"].startswith("it is not a JPEG, PNG, GIF, BMP, WebP, TIFF or other image; convert it")
    assert reasons["truncated.jpg"].startswith("it cannot be decoded: jpeg::Uncompress failed. Invalid JPEG data or")
    assert reasons["wide.png"].startswith("it cannot be decoded: sides must be 1 to 16384 pixels")


def test_too_many_bad_images_stop_the_run(tmp_path):
    """4 of 40 is 10 %: allowed at 0.1, not below."""
    source = make_source(tmp_path)
    bad = np.flatnonzero(is_bad(source))
    allowed, stopped = BadImages(source, max_share=0.1), BadImages(source, max_share=0.05)
    for index in bad:
        allowed.record(index)
    message = (
        r"(?s)3 of the 40 images of .*train cannot be used.*share of 0.05. Those that were met so far are in the log; "
        r".*The first:\n.*train/b/empty.jpg: it is empty"
    )
    with pytest.raises(tf.errors.OpError, match=message):
        read(image_dataset(ImageInput(source, CROP, stopped), tf.data.Dataset.range(40), training=False))
    # Not only for the thread that met the last of them.
    with pytest.raises(ValueError, match="3 of the 40 images|4 of the 40 images"):
        stopped.record(bad[0])


def test_record_from_many_threads(tmp_path):
    source = make_source(tmp_path / "images")
    bad_images = BadImages(source, str(tmp_path / "log"), max_share=1)
    threads = [threading.Thread(target=lambda: [bad_images.record(i) for i in range(40)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bad_images.count == 40
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 40
    assert sum(line.endswith("could be read on the second try") for line in lines) == 36


def test_invalid_arguments(tmp_path):
    source = make_source(tmp_path)
    with pytest.raises(ValueError, match="Received: max_share=1.5"):
        BadImages(source, max_share=1.5)
    with pytest.raises(ValueError, match="Received: image_size=20, resize_size=16"):
        Crop(20, 16)


def test_no_tuning_thread_delays_the_end_of_an_iterator(tmp_path):
    source = make_source(tmp_path)
    images = ImageInput(source, CROP, BadImages(source))
    assert image_dataset(images, tf.data.Dataset.range(8), training=False).batch(4).options().autotune.enabled is False


def test_training_and_evaluation_see_photos_as_prediction_does(tmp_path):
    """Turned by EXIF, over white where transparent, of formats that TensorFlow does not know; beside plain ones."""
    exif = Image.Exif()
    exif[0x0112] = 6
    ink = np.zeros((30, 20, 4), "uint8")
    ink[8:12, 4:9, 3] = 255
    odd = {
        "turned.jpg": encode(noise(30, 20), "JPEG", exif=exif),
        "ink.png": encode(ink, "PNG"),
        "a.webp": encode(noise(30, 20), "WEBP", lossless=True),
        "b.TIFF": encode(noise(30, 20), "TIFF"),
        "c.jp2": encode(noise(30, 20), "JPEG2000"),
        "d.avif": encode(noise(30, 20), "AVIF"),
        "e.jfif": encode(noise(30, 20), "JPEG"),
        "f.bmp": encode(noise(30, 20), "BMP", "P"),
    }
    source = make_source(tmp_path, bad={f"train/b/{name}": content for name, content in odd.items()})
    bad_images = BadImages(source, max_share=0)
    images = ImageInput(source, CROP, bad_images)
    evaluated = read(image_dataset(images, tf.data.Dataset.range(len(source)), training=False))
    stream = read(ExampleOrder(len(source), 4, seed=5).dataset(0, 11))
    trained = read(image_dataset(images, ExampleOrder(len(source), 4, seed=5).dataset(0, 11), training=True))
    assert bad_images.count == 0 and len(source) == 44
    for i, (index, seed) in enumerate(zip(stream["index"], stream["seed"], strict=True)):
        expected = augment(read_photo(source.describe(index)), 16, 18, seed)
        np.testing.assert_allclose(trained["image"][i], expected, atol=1e-3)
        expected = resize_and_crop(read_photo(source.describe(index)), 16, 18)
        np.testing.assert_allclose(evaluated["image"][index], expected, atol=1e-3)
    turned = next(i for i in range(44) if source.describe(i).endswith("turned.jpg"))
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(source.describe(turned))))
    np.testing.assert_array_equal(read_photo(source.describe(turned)), pixels)
