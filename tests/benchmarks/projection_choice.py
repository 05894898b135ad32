"""Which settings of phase 3 are best on held-out photos of trained labels, with the network as it is.

  python -m tests.benchmarks.projection_choice --images=folder:tiny-imagenet \\
      --unseen_labels=models/tiny_imagenet/unseen_labels.txt --hierarchy=imagenet \\
      --settings="loss=softmax,label_terms=heads,temperature=0.05/0.07/0.1,rate=0.3,epochs=4;loss=l2,ridge=0.001/0.01"

Each of `--settings`, separated by semicolons, is a line of the table, or several: slashes separate values to try. What
is not named has the default of the training command, and `loss=linear` is the softmax layer that the others are held
against. Label vectors are those of `--vectors`, or `label_terms=random`.

Of the photos in `train`, the first `--train_images` of each trained label train, and the next `--held_out` choose;
photos in `val` and of unseen labels are measured, too, with `--report`, which is for the settings that were chosen.
The network sees each photo once and whole, resized to `--image_size`, so that trying takes seconds.
"""

import dataclasses
import itertools
import math
import sys

import numpy as np
from absl import flags

from devise_tf import command
from devise_tf.config import Settings
from devise_tf.labels import LabelSet
from tests.benchmarks import harness

_KS = (1, 5, 20)
_DEFAULTS = Settings()
_BATCH = 64
_VALUES = {"temperature": float, "margin": float, "rate": float, "epochs": float, "ridge": float}


def define_flags(define: command.Definitions) -> None:
    define.string("images", None, "Images, as of the training command.", required=True)
    define.string("settings", "loss=linear;loss=softmax;loss=one,label_terms=first;loss=l2", "What to try.")
    define.string("preset", "efficientnet_lite0", "The preset whose network is used.")
    define.integer("image_size", 96, "Side of the images, pixels.", 32)
    define.string("labels_file", "imagenet1k", "Label list: a file, or imagenet1k or imagenet21k.")
    define.string("unseen_labels", "", "File of ids that are not trained.")
    define.string("hierarchy", "", "Hierarchy of the labels, for hp@k.")
    define.string("vectors", "label_terms_300", "Vectors of terms.")
    define.integer("train_images", 100, "Images of each trained label that train.", 1)
    define.integer("held_out", 30, "Images of each trained label that choose.", 1)
    define.integer("seed", 0, "Seed of first weights and order.", 0)
    define.bool("report", False, "Measure `val`, and unseen labels, too.")


@dataclasses.dataclass
class Photos:
    """Features [N, F] of photos and the rows of their labels [N]."""

    features: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Choice:
    """One setting of phase 3."""

    loss: str = _DEFAULTS.devise_loss
    label_terms: str = _DEFAULTS.label_terms
    temperature: float = _DEFAULTS.temperature
    margin: float = _DEFAULTS.margin
    rate: float = _DEFAULTS.devise_rates().projection
    epochs: float = _DEFAULTS.projection_epochs
    ridge: float = _DEFAULTS.ridge


def parse(text: str) -> list[Choice]:
    """All combinations of one of `--settings`."""
    pairs = [part.partition("=") for part in filter(None, text.strip().split(","))]
    unknown = [name for name, _, _ in pairs if name not in {field.name for field in dataclasses.fields(Choice)}]
    if unknown:
        raise command.UsageError(f"`settings` has no {unknown[0]!r}. Received: --settings={text}")
    values = [[(name, _VALUES.get(name, str)(value)) for value in listed.split("/")] for name, _, listed in pairs]
    return [Choice(**dict(combination)) for combination in itertools.product(*values)]


def train(choice: Choice, photos: Photos, vectors: np.ndarray, seed: int) -> np.ndarray:
    """The kernel [F, D] of the projection, trained as phase 3 does, or solved; of `linear` that of a softmax layer."""
    import keras
    import tensorflow as tf

    from devise_tf.layers import named_loss
    from devise_tf.models.devise.closed_form import least_squares_projection
    from devise_tf.training.phases.devise import to_zero

    features, labels = photos.features, photos.labels
    if choice.loss == "l2":
        wide = features.astype(np.float64)
        return least_squares_projection(wide.T @ wide / len(wide), wide.T @ vectors[labels] / len(wide), choice.ridge)
    keras.utils.set_random_seed(seed)
    linear = choice.loss == "linear"
    layer = keras.layers.Dense(len(vectors) if linear else vectors.shape[1], use_bias=False)
    layer.build((None, features.shape[1]))
    loss = None if linear else named_loss(choice.loss, choice.margin, choice.temperature)
    if loss is not None:
        loss.set_label_vectors(vectors)
    steps = math.ceil(choice.epochs * len(labels) / _BATCH)
    optimizer = keras.optimizers.Adagrad(to_zero(choice.rate, steps))
    optimizer.build(layer.trainable_variables)
    rng = tf.random.Generator.from_seed(seed)
    table, rows = tf.constant(features), tf.constant(labels, tf.int32)

    @tf.function(autograph=False)
    def step(batch):
        with tf.GradientTape() as tape:
            outputs, targets = layer(tf.gather(table, batch)), tf.gather(rows, batch)
            if loss is None:
                losses = keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)
            else:
                losses = loss(outputs, targets, uniforms=rng.uniform([_BATCH]))
            value = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(value, layer.trainable_variables), layer.trainable_variables)

    order = np.random.default_rng(seed)
    examples = np.concatenate([order.permutation(len(labels)) for _ in range(math.ceil(choice.epochs) + 1)])
    for start in range(steps):
        step(tf.constant(examples[start * _BATCH : (start + 1) * _BATCH], tf.int32))
    return layer.kernel.numpy()


def figures(photos: Photos, kernel: np.ndarray, vectors: np.ndarray | None, correct_sets) -> list[str]:
    """hit@k in per cent and, with correct sets, hp@5 and hp@20 of photos, by cosine, or by a softmax layer's logits."""
    from devise_tf.metrics.hierarchical_precision import correct_answers

    scores = photos.features @ kernel
    if vectors is not None:
        scores = scores / np.linalg.norm(scores, axis=1, keepdims=True) @ vectors.T
    answers = np.argsort(-scores, axis=1, kind="stable")[:, : max(_KS)].astype(np.int32)
    hits = answers == photos.labels[:, None]
    result = [f"{100 * hits[:, :k].any(axis=1).mean():.1f}" for k in _KS]
    if correct_sets is not None:
        counts = np.asarray(correct_answers(correct_sets.smallest_k(photos.labels, answers), (5, 20)))
        result += [f"{count.mean() / k:.3f}" for count, k in zip(counts.T, (5, 20), strict=True)]
    return result


def main(_: list[str], values: flags.FlagValues) -> None:
    from devise_tf.evaluation.measure.correct_sets import CorrectSets
    from devise_tf.labels import Hierarchy

    choices = [choice for text in values.settings.split(";") for choice in parse(text)]
    parts, labels, num_seen = _parts(values)
    spaces = _spaces(values.vectors, labels, {choice.label_terms for choice in choices})
    correct, seen = None, labels.ids[:num_seen]
    if values.hierarchy:
        correct = CorrectSets(Hierarchy.open(values.hierarchy).neighbors, seen, seen, seen, (5, 20))
    trained, rows = parts.pop("train"), []
    for choice in choices:
        vectors, linear = spaces[choice.label_terms], choice.loss == "linear"
        kernel = train(choice, trained, vectors[:num_seen], values.seed)
        for name, photos in parts.items():
            is_new = name == "unseen"
            if not (is_new and linear):
                own = None if linear else vectors[num_seen:] if is_new else vectors[:num_seen]
                line = figures(photos, kernel, own, None if is_new else correct)
                rows.append([describe(choice), name, *line, *[""] * (5 - len(line))])
                print(" | ".join(rows[-1]), flush=True)
    head = ["settings", "photos", *(f"hit@{k} %" for k in _KS), "hp@5", "hp@20"]
    print("\n" + harness.markdown_table(head, rows))


def describe(choice: Choice) -> str:
    """What differs from the defaults."""
    default = Choice()
    named = [f"{name}={value}" for name, value in vars(choice).items() if value != getattr(default, name)]
    return ", ".join(named) or "defaults"


def _parts(values: flags.FlagValues) -> tuple[dict[str, Photos], LabelSet, int]:
    """The photos by what they are for, and the labels, of which so many are trained."""
    from devise_tf.images import open_images
    from devise_tf.labels.candidate_lists import LISTS, candidate_labels
    from devise_tf.labels.open_labels import open_ids

    source, val = (open_images(values.images, split) for split in ("train", "val"))
    listed = candidate_labels(values.labels_file) if values.labels_file in LISTS else LabelSet.load(values.labels_file)
    held = set(open_ids(values.unseen_labels, "unseen_labels")) if values.unseen_labels else set()
    seen = [label for label in source.present() if label in listed and label not in held]
    unseen = [label for label in val.present() if label in held]
    source = source.select(seen)
    trained, held_out = _shares(source, values.train_images, values.held_out)
    chosen = {"train": (source, trained), "held-out": (source, held_out)}
    for name, labels in (("val", seen), ("unseen", unseen)) if values.report else ():
        if labels:
            those = val.select(labels)
            chosen[name] = (those, np.arange(len(those)))
    network = _network(values.preset, values.image_size)
    parts = {name: Photos(*_features(network, *pair, values.image_size)) for name, pair in chosen.items()}
    return parts, listed.select([*seen, *unseen]), len(seen)


def _shares(source, train_images: int, held_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the first images of each label, and of those behind them."""
    groups = [np.flatnonzero(source.labels == label) for label in range(len(source.label_ids))]
    both = train_images + held_out
    return (
        np.concatenate([rows[:train_images] for rows in groups]),
        np.concatenate([rows[train_images:both] for rows in groups]),
    )


def _network(preset: str, image_size: int):
    from devise_tf.models.pretrained import load_preset
    from devise_tf.models.registry import build_visual_model, representation_model
    from devise_tf.models.visual_weights import load_preset_weights

    preset = load_preset(preset)
    network = build_visual_model(preset.softmax["visual_model"], preset.num_labels(), image_size)
    load_preset_weights(network, preset)
    return representation_model(network)


def _features(network, source, rows: np.ndarray, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """What the network sees of some photos, float32 [N, F], and the rows of their labels, int32 [N]."""
    import tensorflow as tf

    from devise_tf.images import BadImages, Crop, ImageInput, image_dataset

    images = ImageInput(source, Crop(image_size, image_size), BadImages(source))
    examples = tf.data.Dataset.from_tensor_slices(rows.astype(np.int64))
    batches = image_dataset(images, examples, training=False).batch(_BATCH).prefetch(2)
    run = tf.function(lambda pixels: network(pixels, training=False), autograph=False)
    features, labels = zip(*((run(batch["image"]).numpy(), batch["label"].numpy()) for batch in batches), strict=True)
    return np.concatenate(features), np.concatenate(labels)


def _spaces(source: str, labels: LabelSet, kinds: set[str]) -> dict[str, np.ndarray]:
    """Vectors of the labels, float32 [N, D], by what they are made of."""
    from devise_tf.labels import WordSpace
    from devise_tf.labels.random_space import random_label_vectors
    from devise_tf.text.joined_vectors import load_joined_vectors
    from devise_tf.vector_inputs import find_source

    terms, vectors = load_joined_vectors([find_source(name, None) for name in source.split(",")], labels.term_filter())
    made = {kind: WordSpace(terms, vectors, kind).table(labels).values for kind in kinds - {"random"}}
    return {**made, "random": random_label_vectors(labels.ids, vectors.shape[1], 0)}


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
