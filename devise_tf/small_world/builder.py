"""The small world as a TFDS data set."""

import contextlib
import dataclasses
import io
import itertools
import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from devise_tf.small_world.description import SEED, UNSEEN_SHARE, world
from devise_tf.small_world.drawing import IMAGE_SIZE, draw
from devise_tf.small_world.writing import write_sentences

_JPEG_QUALITY = 92
_SENTENCES_PER_TEXT = 50


@dataclasses.dataclass(eq=False, kw_only=True)
class SmallWorldConfig(tfds.core.BuilderConfig):
    """What of a small world to make, and how much.

    Args:
        part: String. `"images"` or `"text"`.
        seed: Integer. All is drawn and written from it.
        train_images: Integer >= 1. Training images per seen label.
        test_images: Integer >= 1. Test images per label, seen or unseen.
        sentences: Integer >= 1. Sentences about each label, seen or unseen.

    Raises:
        ValueError: An argument is none of these.
    """

    part: str
    seed: int = SEED
    train_images: int = 80
    test_images: int = 20
    sentences: int = 300

    def __post_init__(self):
        if self.part not in ("images", "text"):
            raise ValueError(f"`part` must be 'images' or 'text'. Received: part={self.part!r}")
        for name in ("train_images", "test_images", "sentences"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}")


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Does nothing: TFDS would look on the network for a published copy, and there is none."""


class SmallWorld(tfds.core.GeneratorBasedBuilder):
    """A small world of 120 labels, drawn and written about from one seeded description.

    Configurations:

    - `small_world/images` (default): `{"image": uint8 [48, 48, 3], "label": int64}`.
      Split `train` has images of the 96 seen labels only, `test` of all 120.
      Labels are numbered in the order of `world().labels`.
    - `small_world/text`: `{"text": string}`, split `train`, documents of 50
      lines, a sentence each, about all labels and other matters.

    Pictures and words come from the same traits of the labels, but the drawing code does not know of the writing code,
    nor the other way round. The set is made on the spot, without network: images in ArrayRecord files, which are read
    in any order (`as_data_source`), texts in TFRecord files (`as_dataset`).

    Example:

    ```python
    from devise_tf.small_world import SmallWorld, prepare, world

    source = prepare("~/data").as_data_source("train")
    source[7]["image"], world().labels.terms[source[7]["label"]]
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        SmallWorldConfig(name="images", part="images", description="Images and labels."),
        SmallWorldConfig(name="text", part="text", description="The corpus."),
    ]

    # Nothing is downloaded. TFDS would look for a list of checksums, which in Python 3.9 and later needs a package that
    # TFDS 4.9.10 does not declare.
    url_infos: dict[str, Any] = {}

    def _info(self) -> tfds.core.DatasetInfo:
        if self.builder_config.part == "text":
            features = {"text": tfds.features.Text()}
        else:
            features = {
                "image": tfds.features.Image(shape=(IMAGE_SIZE, IMAGE_SIZE, 3), encoding_format="jpeg"),
                "label": tfds.features.ClassLabel(names=world(self.builder_config.seed).labels.ids),
            }
        return _Info(
            builder=self,
            description=f"Images and texts of a small world of labels, {UNSEEN_SHARE:.0%} of them in texts only.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label") if "image" in features else None,
            disable_shuffling="text" in features,
        )

    def download_and_prepare(self, *, download_config: Any = None, file_format: Any = None, **kwargs: Any) -> None:
        """Prepares the data set; TFDS's method with defaults that need no network and allow random access."""
        super().download_and_prepare(
            download_config=download_config or tfds.download.DownloadConfig(try_download_gcs=False),
            # TFDS reads ArrayRecord files at random, and only TFRecord files as a `tf.data.Dataset`.
            file_format=file_format or ("tfrecord" if self.builder_config.part == "text" else "array_record"),
            **kwargs,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[Any, dict[str, Any]]]]:
        del dl_manager  # nothing is downloaded
        splits = ["train"] if self.builder_config.part == "text" else ["train", "test"]
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[Any, dict[str, Any]]]:
        return self._texts() if self.builder_config.part == "text" else self._images(split)

    def _images(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        config = self.builder_config
        unseen = set(world(config.seed).unseen)
        for label, species in enumerate(world(config.seed).species):
            if split == "train" and species.id in unseen:
                continue
            for number in range(config.train_images if split == "train" else config.test_images):
                rng = np.random.default_rng([config.seed, split == "test", label, number])
                file = io.BytesIO()
                Image.fromarray(draw(species.traits, rng)).save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
                file.seek(0)
                yield f"{label}_{number}", {"image": file, "label": label}

    def _texts(self) -> Iterator[tuple[int, dict[str, str]]]:
        sentences = write_sentences(world(self.builder_config.seed), self.builder_config.sentences)
        for number in itertools.count():
            lines = list(itertools.islice(sentences, _SENTENCES_PER_TEXT))
            if not lines:
                return
            yield number, {"text": "\n".join(lines)}


def prepare(data_dir: str | os.PathLike | None = None, config: str | SmallWorldConfig = "images") -> SmallWorld:
    """Makes the small world's files if they do not exist yet; quiet and offline.

    Args:
        data_dir: Path or None. Folder of TensorFlow Datasets; by default `~/tensorflow_datasets`.
        config: String or SmallWorldConfig. `"images"`, `"text"`, or another configuration, whose name must differ from
            these, because it becomes the name of the folder.

    Returns:
        The prepared builder; use `as_data_source(split)` for images and `as_dataset(split=…)` for texts.
    """
    data_dir = os.path.expanduser(data_dir) if data_dir else None
    builder = SmallWorld(data_dir=data_dir, config=config)
    if builder.data_path.exists() and builder.is_prepared():
        return builder
    # TFDS takes the name of its temporary folder from `random`; two processes seeded alike would share one.
    state = random.getstate()
    random.seed()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder.download_and_prepare()
    except OSError:
        # Another process may have prepared the same folder meanwhile.
        builder = SmallWorld(data_dir=data_dir, config=config)
        if not builder.is_prepared():
            raise
    finally:
        random.setstate(state)
    return builder
