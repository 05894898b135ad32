"""Photos, folders of images, and sets of TensorFlow Datasets."""

import base64
import io
import types
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf
from PIL import Image

import devise_tf.export
from devise_tf.config import Config
from devise_tf.export.build import ExportSettings, export_model
from devise_tf.export.server.server import Server
from devise_tf.images import BadImages, Crop, ExampleOrder, ImageInput, decode_image, image_dataset, open_images
from devise_tf.images.tfds_images import TFDSImages
from devise_tf.training.inputs import Inputs
from tests.cases.preset import drawing, preset
from tests.cases.registry import Finding, case, error_of, messages, write
from tests.helpers import tiny_run
from tests.helpers.canned_server import served
from tests.helpers.clients import rest
from tests.helpers.image_files import encode, noise
from tests.helpers.tiny_model_dir import make_model_dir

CROP = Crop(32, 36)
# Formats of Pillow's with their files' endings, beside those that TensorFlow decodes.
FORMATS = {"webp": "WEBP", "tif": "TIFF", "tiff": "TIFF", "jfif": "JPEG", "avif": "AVIF", "jp2": "JPEG2000"}


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """The mean difference of two images, of 255."""
    if one.shape != other.shape:
        return 255.0
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).mean())


def _phone_photo() -> tuple[bytes, np.ndarray]:
    """The drawing as a phone stores it that was held upright: on its side, with EXIF tag 6; and its pixels upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encode(np.rot90(np.asarray(drawing())), "JPEG", exif=exif, quality=95)
    return photo, np.rot90(np.asarray(Image.open(io.BytesIO(photo))), -1)


def _batches(folder: Path, training: bool) -> np.ndarray:
    """The images of a folder as training or evaluation sees them."""
    source = open_images(f"folder:{folder}", "train")
    order = ExampleOrder(len(source), 2, seed=0).dataset(0, 3) if training else tf.data.Dataset.range(len(source))
    images = image_dataset(ImageInput(source, CROP, BadImages(source, max_share=0)), order, training)
    return np.stack([example["image"] for example in images.as_numpy_iterator()])


@case("B01", "a phone photo with EXIF tag 6, everywhere", "one reading; what cannot turn says so")
def turned_photo(folder: Path) -> Finding:
    turned, pixels = _phone_photo()
    upright = encode(pixels, "PNG")
    for name, content in (("upright/train/a/1.png", upright), ("turned/train/a/1.jpg", turned)):
        write(folder / name, content)
        write((folder / name).parents[1] / "b" / "1.png", upright)
    differences = {
        name: _difference(_batches(folder / "turned", training), _batches(folder / "upright", training))
        for name, training in (("training", True), ("evaluation", False))
    }
    with served("rest") as (server, client):
        client.predict([turned])
    [sent] = server.requests[0][3]["image_bytes"]
    differences["client"] = _difference(decode_image(sent).numpy(), pixels)
    cosine = float(np.dot(*preset().embed([turned, upright])))
    text = ", ".join(f"{name} {value:.1f}" for name, value in differences.items())
    document = Path(devise_tf.export.__file__).with_name("README.md").read_text(encoding="utf-8")
    says = "neither turns a photo as its EXIF tag says" in " ".join(document.split())
    return Finding(
        f"off by {text} of 255; prediction: cosine {cosine:.3f}",
        max(differences.values()) < 5 and cosine > 0.99 and says,
    )


@case("B03", "black ink in the alpha channel (icons, signatures)", "over white, as viewers show it")
def black_ink(folder: Path) -> Finding:
    inks, on_white = [], []
    for number in range(3):
        ink = np.zeros((200, 200, 4), "uint8")
        ink[40 * number + 20 : 40 * number + 60, 30 : 60 + 50 * number, 3] = 255
        inks.append(encode(ink, "PNG"))
        on_white.append(np.repeat(255 - ink[:, :, 3:], 3, axis=2))
    embeddings, expected = preset().embed(inks), preset().embed(on_white)
    cosines = np.sum(embeddings * expected, axis=1)
    distinct = len({row.tobytes() for row in embeddings})
    text = f"cosine {cosines.min():.3f} with black on white; {distinct} of 3 differ"
    return Finding(text, cosines.min() > 0.999 and distinct == 3)


@case("B05", "`val/` has label folders that `train/` has not", "said before training")
def labels_of_val_alone(folder: Path) -> Finding:
    settings = tiny_run.settings(tiny_run.make_inputs(folder, images=2), folder / "run")
    for old, new in (("cat", "Cat"), ("oak", "oak "), ("dog", "zebra")):
        (folder / "images" / "val" / old).rename(folder / "images" / "val" / new)
    error = error_of(lambda: Inputs(Config(**settings), text_needed=True))
    named = all(name in error for name in ("'Cat' (is it 'cat'?)", "'oak ' (is it 'oak'?)", "'zebra'"))
    return Finding(error or "no error", named and not (folder / "run").exists())


@case("B06", "half of a training folder are .webp, .tif, .jfif, AVIF, …", "read; what is left out is named")
def formats_of_pillow(folder: Path) -> Finding:
    for number, (ending, form) in enumerate(FORMATS.items()):
        write(folder / "train" / "others" / f"{number}.{ending}", encode(noise(), form))
        write(folder / "train" / "plain" / f"{number}.jpg", encode(noise(), "JPEG"))
        write(folder / "train" / "plain" / f"{number}.raw", b"no image")
    with messages() as said:
        images = _batches(folder, training=False)
    read = sum(image.std() > 1 for image in images)
    counted = "6 files that are no images: .raw 6" in "".join(said)
    return Finding(f"{read} of 12 are read; {' '.join(said)}", read == 12 and counted)


@case("B12", "BytesIO, an open file, bytearray, memoryview in place of a path", "the answer")
def other_kinds_of_bytes(folder: Path) -> Finding:
    path = write(folder / "photo.jpg", encode(np.asarray(drawing()), "JPEG"))
    data = path.read_bytes()
    with open(path, "rb") as file:
        images = [io.BytesIO(data), file, bytearray(data), memoryview(data), data, path]
        answers = [preset().predict_labels(image, k=3)[0] for image in images]
    same = sum(answer == answers[-1] for answer in answers)
    return Finding(f"{same} of {len(images)} answer {answers[-1][0].label}", same == len(images))


@case("B17", "a user's own TFDS set prepared as tfrecord", "advice with the right folder")
def own_set_as_tfrecord(folder: Path) -> Finding:
    import tensorflow_datasets as tfds

    class OwnSet(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["a", "b"])}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for number in range(2):
                yield number, {"image": noise(8, 8), "label": number}

    OwnSet(data_dir=folder, file_format="tfrecord").download_and_prepare()
    builder = tfds.builder_from_directory(folder / "own_set" / "1.0.0")
    error = error_of(TFDSImages, builder, "train")
    return Finding(error, f"--overwrite --data_dir={folder}`" in error and "tfds build own_set " in error)


@case("B18", "a TFDS set with `Image(dtype=float32)`", "refused, or right")
def images_of_floats(folder: Path) -> Finding:
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({
        "image": tfds.features.Image(shape=(None, None, 1), dtype=np.float32),
        "label": tfds.features.ClassLabel(names=["a", "b"]),
    })  # fmt: skip
    builder = types.SimpleNamespace(info=types.SimpleNamespace(full_name="depth/1.0.0", features=features))
    error = error_of(TFDSImages, builder, "train")
    return Finding(error or "no error", "must be of uint8 or uint16" in error and "dtype=float32" in error)


@case("B23", "one bad image among several over REST", "its index")
def bad_image_in_a_request(folder: Path) -> Finding:
    photo = encode(noise(), "JPEG")
    rows = [{"b64": base64.b64encode(data).decode()} for data in (photo, photo, photo[:300], photo)]
    # What checks an export would only take time here.
    with mock.patch("devise_tf.export.write_version.verify_in_fresh_process"):
        export_model(make_model_dir(folder / "run"), str(folder / "devise"), ExportSettings(k=3))
    with Server(str(folder / "devise"), rest_port=0, grpc_port=0) as server:
        status, answer, _ = rest(server, "/v1/models/devise:predict", {"instances": rows})
    error = answer.get("error", "") if isinstance(answer, dict) else answer
    return Finding(f"{status}: {error}", status == 400 and error.startswith("image_bytes[2]: "))


@case("B24", "`@eaDir`, `__MACOSX`, `.ipynb_checkpoints` in an image folder", "left out, and named")
def folders_of_systems(folder: Path) -> Finding:
    systems = ["@eaDir", "__MACOSX", ".ipynb_checkpoints"]
    for label in ("cat", "dog", *systems, *(f"cat/{name}" for name in systems)):
        write(folder / "train" / label / "1.png", encode(noise(), "PNG"))
    with messages() as said:
        source = open_images(f"folder:{folder}", "train")
    named = all(name in "".join(said) for name in systems)
    text = f"labels {', '.join(source.label_ids)}, {len(source)} images; {' '.join(said)}"
    return Finding(text, source.label_ids == ["cat", "dog"] and len(source) == 2 and named)


@case("B25", "a quarter of the files are damaged", "that more may be, beside those met so far")
def many_damaged_files(folder: Path) -> Finding:
    for number in range(24):
        content = b"no image" if number % 4 == 0 else encode(noise(), "PNG")
        write(folder / "train" / "ab"[number % 2] / f"{number}.png", content)
    source = open_images(f"folder:{folder}", "train")
    images = ImageInput(source, CROP, BadImages(source, str(folder / "bad.log"), max_share=0.05))
    try:
        list(image_dataset(images, tf.data.Dataset.range(24), training=False).as_numpy_iterator())
        error = ""
    except tf.errors.OpError as raised:
        error = raised.message.partition("ValueError: ")[2].splitlines()[0]
    honest = "Those that were met so far" in error and "there may be more" in error
    return Finding(error or "no error", honest)
