"""Made-up labels, hierarchies and images whose pixels are their queries, so that every score is a whole number."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.evaluation.measure import measure_models as measuring
from devise_tf.evaluation.measure.measure_models import measure_models
from devise_tf.evaluation.measure.measurement import GeneralizedOutcomes, Measurement, Outcomes, Scorer, Setting
from devise_tf.images import BadImages, Crop, ImageInput, ImageSource
from tests.helpers.image_files import encode
from tests.helpers.label_tables import table_of_labels, table_of_outputs, table_of_terms

SIZE = 4
NOT_A_NUMBER = 255  # a pixel of this value
EMBEDDING = slice(32, 37)  # the pixels of the embedding; before them come the logits


class QueryImages(ImageSource):
    """Images of 4 x 4 pixels that are given as rows of up to 48 values; those in `bad` cannot be read."""

    def __init__(self, label_ids, labels, queries, bad=()):
        super().__init__(label_ids, labels, "made-up images")
        pixels = np.zeros((len(labels), SIZE * SIZE * 3), np.uint8)
        pixels[:, : queries.shape[1]] = queries
        images = pixels.reshape(-1, SIZE, SIZE, 3)
        self._files = tf.constant([b"none" if i in bad else encode(image, "PNG") for i, image in enumerate(images)])
        self._pixels = tf.constant(images, tf.float32)
        self._weights = tf.constant([float(i not in bad) for i in range(len(images))])

    def _read(self, row):
        return tf.gather(self._files, row)

    def _describe(self, row):
        return f"image {row}"

    def dataset(self, examples):
        """What `image_dataset` gives, without reading and decoding: to build these takes seconds."""

        def load(index):
            row = tf.gather(self._row_table, index)
            return {"image": tf.gather(self._pixels, row), "weight": tf.gather(self._weights, row)}

        return examples.map(load)


def network(pixels):
    values = tf.reshape(pixels, [-1, SIZE * SIZE * 3])
    return tf.where(values == NOT_A_NUMBER, np.nan, values)


def logits(values):
    return values[:, : EMBEDDING.start]


def embedding(values):
    return values[:, EMBEDDING] - 3  # of both signs


class World:
    """Seen and unseen labels, a hierarchy, images and three models, drawn by a seed; scores have many ties."""

    def __init__(self, seed, images=150):
        rng = np.random.default_rng(seed)
        self.seen = [f"s{i}" for i in range(rng.integers(8, 25))]
        self.unseen = [f"u{i}" for i in range(rng.integers(3, 12))]
        labels = [*self.seen, *self.unseen]
        # A graph without cycles: each node hangs on up to two of those after it. Some labels are in no link, some
        # are above others, and there are several roots.
        order = [*rng.permutation(labels).tolist(), *(f"above{i}" for i in range(8))]
        self.neighbors = {}
        for position, node in enumerate(order[:-2]):
            above = rng.choice(order[max(position + 1, len(labels) - 4) :], rng.integers(0, 3)).tolist()
            if above:
                self.neighbors[node] = sorted(set(above))
        self.outputs = rng.permutation(self.seen).tolist()
        self.label_vectors = {label: rng.integers(-3, 4, 5) for label in rng.permutation(labels)[1:].tolist()}
        pool = {f"term{i}": rng.integers(-3, 4, 5) for i in range(len(labels))}
        self.term_vectors = {
            label: {term: pool[term] for term in rng.choice(list(pool), rng.integers(0, 4), replace=False).tolist()}
            for label in labels
        }
        self.queries = rng.integers(0, 7, (images, EMBEDDING.stop)).astype(np.uint8)
        self.queries[rng.random(images) < 0.05, EMBEDDING.start] = NOT_A_NUMBER
        self.queries[:, : len(self.outputs)][rng.random((images, len(self.outputs))) < 0.01] = NOT_A_NUMBER
        self.label_ids = rng.permutation(labels).tolist()
        self.labels = rng.permutation(np.resize(np.arange(len(labels)), images))

    def source(self, bad=()):
        return QueryImages(self.label_ids, self.labels, self.queries, bad)

    def scorers(self, network=network):
        return [
            Scorer("softmax", network, logits, functools.partial(table_of_outputs, outputs=self.outputs)),
            Scorer("devise", network, embedding, functools.partial(table_of_labels, vectors=self.label_vectors)),
            Scorer("terms", network, embedding, functools.partial(table_of_terms, vectors=self.term_vectors)),
        ]


def measure(source, scorers, settings, decode=False, **arguments):
    """Evaluates; with `decode` from the encoded images on."""
    images = ImageInput(source, Crop(SIZE, SIZE), BadImages(source, max_share=1.0))
    with pytest.MonkeyPatch.context() as patch:
        if not decode:
            patch.setattr(measuring, "image_dataset", lambda images, examples, training: source.dataset(examples))
        return measure_models(scorers, images, settings, **{"verbose": 0, **arguments})


def same(one, other):
    """Whether two measurements are equal to the last digit."""
    for part in ("outcomes", "generalized"):
        first, second = getattr(one, part), getattr(other, part)
        if {name: list(models) for name, models in first.items()} != {n: list(m) for n, m in second.items()}:
            return False
        for name, models in first.items():
            for model, rows in models.items():
                for a, b in zip(rows, second[name][model], strict=True):
                    if not all(np.array_equal(vars(a)[field], vars(b)[field]) for field in vars(a)):
                        return False
    return all(
        np.array_equal(getattr(one, part)[name], getattr(other, part)[name])
        for part in ("images", "labels")
        for name in one.settings
    )


def outcomes(first_hit, correct=None, ks=(1, 2, 5)):
    """Outcomes of given first hits; `correct` is one for each hit where it is not given."""
    first_hit = np.asarray(first_hit, np.uint16)
    correct = first_hit[:, None] <= np.array(ks) if correct is None else correct
    return Outcomes(first_hit, np.asarray(correct, np.uint8), np.zeros(len(first_hit), np.int32))


def measurement(labels, candidates, answered, ks=(1, 2, 5), sizes=None, generalized=None):
    """A measurement of plain arrays.

    Args:
        labels: For each setting int [n].
        candidates: For each setting the number of candidates.
        answered: `{setting: {model: [Outcomes]}}`.
        ks: The same for all settings.
        sizes: For each setting the sizes of the correct sets by `k`.
        generalized: `{kind: {model: [(margin, right)]}}`.
    """
    first_image = {name: 0 if name == "seen" else len(labels.get("seen", ())) for name in labels}
    settings = {}
    for name, number in candidates.items():
        ids = [f"{name}{i}" for i in range(number)]
        settings[name] = Setting(name, ids, ids, ids)
    return Measurement(
        settings,
        {name: list(ks) for name in labels},
        {name: first_image[name] + np.arange(len(rows)) for name, rows in labels.items()},
        {name: np.asarray(rows, np.int32) for name, rows in labels.items()},
        sizes or {},
        answered,
        {
            kind: {
                model: [GeneralizedOutcomes(np.asarray(m, np.float32), np.asarray(r, bool)) for m, r in rows]
                for model, rows in models.items()
            }
            for kind, models in (generalized or {}).items()
        },
    )
