"""What `evaluate` costs beside the bare forward pass of the same networks on batches that are ready.

  python -m tests.benchmarks.evaluation_speed
  python -m tests.benchmarks.evaluation_speed --visual_model=alexnet --image_size=224 --resize_size=256 \\
      --photo_size=256 --count=400

Without --model_dir a run of untrained weights and JPEG files are made in a temporary folder. In each round both are
timed in turn, with one model (devise), and with all three (softmax, conse, devise): one forward pass and two. The
evaluation decodes the images, runs the networks, answers, and finds hit@k and hp@k for seen labels, unseen ones and
both; tracing its graph, which is done once however many images there are, is timed apart (it is what the evaluation of
a single batch takes) and taken away, so that there must be thousands of images. The table has the medians over the
rounds, and of the shares the least and the greatest.
"""

import collections
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from absl import flags, logging

from devise_tf import command
from tests.benchmarks import harness
from tests.benchmarks.serving_speed import photos

MODELS = {"one model": ("devise",), "three models": ("softmax", "conse", "devise")}
_DIMENSION = 300


def define_flags(define: command.Definitions) -> None:
    define.string("model_dir", "", "Model directory of a run; empty for one that is made up.")
    define.string("images", "", "Images: folder:DIR, tfds:NAME or builtin; by default the run's, or made ones.")
    define.integer("count", 5_000, "Images that are made.", 1)
    define.string("visual_model", "resnet_small", "Without --model_dir: the visual model.")
    define.integer("image_size", 56, "Without --model_dir: side of the crops, pixels.", 1)
    define.integer("resize_size", 64, "Without --model_dir: shorter side that they are cut from, pixels.", 1)
    define.integer("seen", 152, "Without --model_dir: trained labels.", 2)
    define.integer("unseen", 50, "Without --model_dir: unseen labels.", 1)
    define.integer("photo_size", 64, "Shorter side of the images that are made, pixels.", 8)
    define.list("batch_sizes", ["64", "256"], "Images at once.")
    define.integer("rounds", 5, "Rounds.", 1)
    define.string("output", "", "JSON file of all measurements; empty for none.")


def made_run(directory: str, values: flags.FlagValues) -> None:
    """Writes the model directory of a run of untrained weights, whose labels hang in groups of ten below a root."""
    import keras

    from devise_tf.labels import LabelSet, WordSpace
    from devise_tf.models.devise import DeViSE
    from devise_tf.models.registry import build_visual_model, representation_model
    from devise_tf.text import save_vectors

    os.makedirs(directory)
    ids = [f"label_{i:04d}" for i in range(values.seen + values.unseen)]
    labels, unseen = LabelSet.from_ids(ids), ids[values.seen :]
    labels.save(os.path.join(directory, "labels.txt"))
    texts = {
        "flags.txt": [f"--image_size={values.image_size}", f"--resize_size={values.resize_size}"],
        "unseen_labels.txt": unseen,
        "hierarchy.txt": [f"group_{i // 10} {label}" for i, label in enumerate(ids)]
        + [f"root group_{i}" for i in range(-(-len(ids) // 10))],
    }
    for name, lines in texts.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    vectors = np.random.default_rng(0).normal(size=(len(ids), _DIMENSION)).astype(np.float32)
    terms = [names[0] for names in labels.normalized_terms()]
    save_vectors(os.path.join(directory, "vectors.bin"), terms, vectors, "word2vec_binary")
    keras.utils.set_random_seed(0)
    network = build_visual_model(values.visual_model, values.seen, values.image_size)
    network.save(os.path.join(directory, "cnn.keras"))
    table = WordSpace(terms, vectors).table(labels.select(ids[: values.seen])).values
    # Weights of its own, as after training: the networks of softmax and DeViSE are two.
    network = build_visual_model(values.visual_model, values.seen, values.image_size)
    DeViSE(representation_model(network), table).save(os.path.join(directory, "devise.keras"))


def made_images(directory: str, labels: Sequence[str], values: flags.FlagValues) -> None:
    """Writes `val/LABEL/NUMBER.jpg`, as many of each label, out of 32 different pictures."""
    pictures = photos(min(32, values.count), values.photo_size)
    for number in range(values.count):
        folder = os.path.join(directory, "val", labels[number % len(labels)])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"{number}.jpg"), "wb") as file:
            file.write(pictures[number % len(pictures)])


def seconds_of(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def rounds(run, hierarchy, source, models: Sequence[str], batch_size: int, count: int) -> dict[str, list[float]]:
    """Images a second by round: of the bare networks, of `evaluate`, and of reading and decoding alone.

    Args:
        run: `ModelSource`.
        hierarchy: `Hierarchy` of the labels.
        source: The images.
        models: Names of the models that are measured at once.
        batch_size: Images at once.
    """
    import tensorflow as tf

    from devise_tf.evaluation.measure.measure_models import measure_models
    from devise_tf.evaluation.measure.measurement import standard_settings
    from devise_tf.evaluation.measure.run_scorers import run_scorers
    from devise_tf.images import BadImages, ImageInput, image_dataset

    scorers = run_scorers(run, run.labels, only=models)
    networks = list({id(scorer.network): scorer.network for scorer in scorers}.values())
    forward = tf.function(lambda pixels: [network(pixels) for network in networks])
    crop = run.crop

    def images():
        every = tf.data.Dataset.range(len(source))
        dataset = image_dataset(ImageInput(source, crop, BadImages(source)), every, training=False)
        return iter(dataset.batch(batch_size, drop_remainder=True).prefetch(2))

    ready = [batch["image"] for batch in itertools.islice(images(), 4)]
    steps = len(source) // batch_size
    if steps < 2:
        raise ValueError(f"There must be images for two batches. Received: {len(source)} images, {batch_size=}")

    def measure(some):
        settings = standard_settings(run.seen, run.unseen, some.present())
        measure_models(
            *(scorers, ImageInput(some, crop, BadImages(some)), settings, hierarchy.neighbors),
            batch_size=batch_size,
            verbose=0,
        )

    def bare():
        for step in range(steps):
            tf.nest.map_structure(lambda tensor: tensor.numpy(), forward(ready[step % len(ready)]))

    # A label of each kind: hardly more than the two graphs.
    few = source.select([next(label for label in source.present() if label in kind) for kind in (run.seen, run.unseen)])

    def measured(some):
        counts = some.counts()
        kinds = (sum(counts.get(label, 0) for label in kind) for kind in (run.seen, run.unseen))
        return sum(-(-images // batch_size) * batch_size for images in kinds)  # batches are filled up

    forward(ready[0])
    rates: dict[str, list[float]] = {"bare": [], "evaluate": [], "decoding": []}
    for round_number in range(count):
        calls = {"bare": bare, "evaluate": lambda: measure(source)}
        seconds = {name: seconds_of(calls[name]) for name in sorted(calls, reverse=bool(round_number % 2))}
        started = seconds_of(lambda: measure(few))
        rates["bare"].append(steps * batch_size / seconds["bare"])
        rates["evaluate"].append((measured(source) - measured(few)) / (seconds["evaluate"] - started))
        batches = images()
        next(batches)  # the graph is made by then
        seconds["decoding"] = seconds_of(lambda: collections.deque(batches, maxlen=0))  # noqa: B023
        rates["decoding"].append((steps - 1) * batch_size / seconds["decoding"])
    return rates


def main(_: list[str], values: flags.FlagValues) -> None:
    if not all(size.isdecimal() and int(size) for size in values.batch_sizes):
        raise command.UsageError(f"--batch_sizes must hold numbers from 1. Received: {','.join(values.batch_sizes)}")

    from devise_tf.images import open_images
    from devise_tf.models.sources import open_run

    measured = {}
    with tempfile.TemporaryDirectory(prefix="devise_tf-benchmark-") as folder:
        if not values.model_dir:
            made_run(os.path.join(folder, "run"), values)
        run = open_run(values.model_dir or os.path.join(folder, "run"))
        images = values.images or run.flags.get("images", "")
        if not images:
            made_images(os.path.join(folder, "images"), run.labels.ids, values)
            images = f"folder:{os.path.join(folder, 'images')}"
        source = open_images(images, "val", run.flags.get("data_dir") or None)
        source = source.select([label for label in source.present() if label in run.labels])
        hierarchy = run.hierarchy()
        if hierarchy is None:
            raise ValueError(f"The run must have a hierarchy. Received: model_dir={values.model_dir!r}")
        hierarchy = hierarchy.restricted_to(run.labels.ids)
        for batch_size in map(int, values.batch_sizes):
            for title, models in MODELS.items():
                name = f"{title}, batches of {batch_size}"
                measured[name] = rounds(run, hierarchy, source, models, batch_size, values.rounds)
                print(f"{name}: done", flush=True)
    print("\n" + table(measured))
    harness.write_json(values.output, {"machine": harness.machine(), "images_per_second": measured})


def table(measured: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """A row for each measurement: images a second, and the evaluation's as a share of the bare networks', by round."""
    rows = []
    for name, rates in measured.items():
        ratios = [ours / bare for ours, bare in zip(rates["evaluate"], rates["bare"], strict=True)]
        figures = [f"{statistics.median(rates[what]):.0f}" for what in ("decoding", "bare", "evaluate")]
        rows.append([name, *figures, harness.spread(ratios, ".3f")])
    return harness.markdown_table(
        ["images a second", "decoding alone", "bare networks", "evaluate", "evaluate / bare"], rows
    )


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, verbosity=logging.ERROR)


if __name__ == "__main__":
    sys.exit(run())
