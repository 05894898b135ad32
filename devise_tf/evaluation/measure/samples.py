"""A few images and what the models answer to them, as in the paper's Figure 2."""

import dataclasses
import io
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from devise_tf.evaluation.measure.measurement import Measurement, Scorer
from devise_tf.images import BadImages, ImageInput, image_dataset
from devise_tf.layers.label_index import search_labels
from devise_tf.metrics import hierarchical_correct_sets

_ANSWERS = 5
_PICTURE = 160


@dataclasses.dataclass
class Sample:
    """An image and what models answer, as in the paper's Figure 2.

    Attributes:
        image_jpeg: bytes. A JPEG file of at most 256 pixels a side: the page holds it whole.
        label_id: str. The true label.
        seen: bool. Whether the label was trained.
        answers: Mapping. For each model `[(label id, score)]`, best first; the page shows five.
        correct: Collection of str. Ids of labels that are near the true one, such as its hCorrectSet at k = 5.
    """

    image_jpeg: bytes
    label_id: str
    seen: bool
    answers: Mapping[str, Sequence[tuple[str, float]]]
    correct: Collection[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.image_jpeg.startswith(b"\xff\xd8"):
            raise ValueError(
                f"`image_jpeg` must be a JPEG file's bytes. Received: image_jpeg={self.image_jpeg[:16]!r}…"
            )


def sample_answers(
    scorers: Sequence[Scorer],
    images: ImageInput,
    measurement: Measurement,
    neighbors: Mapping[str, Sequence[str]] | None,
    count: int,
    seed: int,
) -> list[Sample]:
    """Shows images to models: of as many different labels as can be, half of them unseen.

    Args:
        scorers: Sequence of `Scorer`. The models to show, of different names.
        images: ImageInput. The images that were measured.
        measurement: Measurement. Its images are chosen from.
        neighbors: Mapping. The hierarchy, for the labels that are near the true one; None without one.
        count: int. Number of images; 0 for none.
        seed: int. Of the choice of images.

    Returns:
        A list of `Sample`, with the first five answers of each model.
    """
    settings = [name for name in ("unseen+seen", "seen") if name in measurement.settings]
    chosen = _choose(measurement, settings, count, seed) if count else []
    if not chosen:
        return []
    pixels = _pixels(images, [image for _, image, _ in chosen])
    candidate_ids = measurement.settings[settings[0]].candidate_ids
    answers = {scorer.name: _answers(scorer, pixels, candidate_ids) for scorer in scorers}
    correct = _correct_sets(neighbors, sorted({label for _, _, label in chosen}), candidate_ids) if neighbors else {}
    return [
        Sample(
            _picture(images.source.encoded(tf.constant(image, tf.int64)).numpy()),
            label,
            setting == "seen",
            {model: rows[row] for model, rows in answers.items() if rows},
            correct.get(label, frozenset()),
        )
        for row, (setting, image, label) in enumerate(chosen)
    ]


def _choose(measurement: Measurement, settings: Sequence[str], count: int, seed: int) -> list[tuple[str, int, str]]:
    """Settings, images and their labels: each label once at first."""
    rng, chosen = np.random.default_rng(seed), []
    for setting in settings:
        labels, images = measurement.labels[setting], measurement.images[setting]
        order = rng.permutation(len(images))
        first = order[np.sort(np.unique(labels[order], return_index=True)[1])][: count // len(settings)]
        label_ids = measurement.settings[setting].label_ids
        chosen += [(setting, int(images[i]), label_ids[labels[i]]) for i in first]
    return chosen


def _pixels(images: ImageInput, rows: Sequence[int]) -> tf.Tensor:
    # They were counted and logged when they were measured.
    quiet = dataclasses.replace(images, bad_images=BadImages(images.source, None, 1.0))
    examples = tf.data.Dataset.from_tensor_slices(np.array(rows, np.int64))
    return next(iter(image_dataset(quiet, examples, training=False).batch(len(rows))))["image"]


def _correct_sets(
    neighbors: Mapping[str, Sequence[str]], labels: Sequence[str], candidate_ids: Sequence[str]
) -> dict[str, set[str]]:
    k = min(_ANSWERS, len(candidate_ids))
    sets = hierarchical_correct_sets(neighbors, labels, [k], candidate_ids)[k]
    return dict(zip(labels, sets, strict=True))


def _answers(scorer: Scorer, pixels: tf.Tensor, candidate_ids: Sequence[str]) -> list[list[tuple[str, float]]]:
    table = scorer.candidates(candidate_ids)
    if not len(table):
        return []
    k = min(_ANSWERS, len(candidate_ids))
    queries = scorer.head(scorer.network(pixels))
    best, entries = search_labels(queries, table.values, table.entries_per_answer * k)
    answers, positions = table.answers(entries.numpy(), k)
    scores = np.take_along_axis(best.numpy(), positions, axis=1)
    return [
        [(candidate_ids[a], float(s)) for a, s in zip(row, row_scores, strict=True) if a >= 0]
        for row, row_scores in zip(answers, scores, strict=True)
    ]


def _picture(encoded: bytes) -> bytes:
    """A small JPEG of an image file."""
    with Image.open(io.BytesIO(encoded)) as image:
        small = image.convert("RGB")
    small.thumbnail((_PICTURE, _PICTURE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return file.getvalue()
