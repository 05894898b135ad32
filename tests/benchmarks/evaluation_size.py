"""What the evaluation itself costs at the size of all of ImageNet: time and memory, without a network.

  python -m tests.benchmarks.evaluation_size --images=1300000

The images are pictures of 10 by 10 pixels, drawn on demand, whose 300 values are an embedding: the vector of the
image's label with noise. They go through the evaluation's own way, from decoding to the report, with the labels, terms
and hierarchy of ImageNet; the labels of ILSVRC-2012 are the trained ones, and each label has about as many images.
The table has the seconds of each stage, by the clock and of all cores' work, and the peak of memory after it; below it
stands what 1,000 images take, and how much memory grew while images were measured.
"""

import contextlib
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
from absl import flags, logging

from devise_tf import command
from devise_tf.choices import EVALUATED_ANSWERS
from tests.benchmarks import harness

MODELS = ("devise", "softmax", "conse", "random")
_SIDE = 10
# A vector of unit norm has values of about 1 / sqrt(300): with this they fill the range of a byte.
_SCALE = 400.0


def define_flags(define: command.Definitions) -> None:
    define.integer("images", 20_000, "Images.", 1)
    define.integer("candidates", 21_841, "Labels, those of ILSVRC-2012 first.", 4)
    define.integer("seen", 1_000, "How many of them count as trained.", 2)
    define.list("models", ["devise"], f"Models that are measured at once, out of {', '.join(MODELS)}.")
    define.enum("answers", "terms", EVALUATED_ANSWERS, "Answer by the labels' terms, or by label vectors.")
    define.list("k", [str(k) for k in range(1, 21)], "The k of hit@k and hp@k.")
    define.string("hierarchy", "imagenet", "The hierarchy; see `python -m devise_tf.evaluate --help`.")
    define.float("noise", 1.0, "Norm of the noise, that of a label vector being 1.", 0)
    define.integer("batch_size", 64, "Images at once.", 1)
    define.integer("samples", 24, "Images that the report shows.", 0)
    define.string("output", "", "JSON file of all measurements; empty for none.")


class Stages:
    """Seconds of each stage, by the clock and of all cores' work, and the peak of memory after it."""

    def __init__(self):
        self.results: dict[str, dict[str, float]] = {}

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        started, worked = time.perf_counter(), time.process_time()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self.results[name] = {
            "seconds": time.perf_counter() - started,
            "processor_seconds": time.process_time() - worked,
            "peak_megabytes": peak / 1e6,
        }
        print(f"{name}: {self.results[name]['seconds']:.1f} s", flush=True)


class Memory(threading.Thread):
    """Reads this process's memory twice a second, where the system tells it, for as long as its block lasts."""

    def __init__(self):
        super().__init__(daemon=True)
        self._stopped, self._megabytes = threading.Event(), []

    def run(self):
        while not self._stopped.wait(0.5):
            with open("/proc/self/statm", encoding="ascii") as file:
                self._megabytes.append(int(file.read().split()[1]) * resource.getpagesize() / 1e6)

    def __enter__(self):
        if os.path.exists("/proc/self/statm"):
            self.start()
        return self

    def __exit__(self, *error):
        self._stopped.set()

    def growth(self) -> float:
        """MB of growth over the whole time, from the medians of its second and its last quarter; NaN if too short."""
        if len(self._megabytes) < 8:
            return float("nan")
        quarters = np.array_split(self._megabytes, 4)
        return float(2 * (np.median(quarters[3]) - np.median(quarters[1])))


def drawn_images(vectors: np.ndarray, label_ids: Sequence[str], count: int, noise: float):
    """An `ImageSource` of `count` pictures, of one label after the other.

    Args:
        vectors: float32 [L, 300] of unit norm.
        label_ids: Ids of the L labels.
        count: Number of images.
        noise: Norm of what is added to a label's vector.
    """
    import tensorflow as tf

    from devise_tf.images import ImageSource

    class DrawnImages(ImageSource):
        def __init__(self):
            super().__init__(label_ids, np.arange(count) % len(label_ids), "drawn images")
            with tf.device("CPU:0"):
                self._vectors = tf.constant(vectors)

        def _read(self, row):
            size = vectors.shape[1]
            values = tf.random.stateless_normal([size], tf.stack([0, row]), stddev=noise / size**0.5)
            values = 128 + _SCALE * (tf.gather(self._vectors, row % len(label_ids)) + values)
            pixels = tf.cast(tf.clip_by_value(tf.round(values), 0, 255), tf.uint8)
            return tf.io.encode_png(tf.reshape(pixels, [_SIDE, _SIDE, 3]), compression=1)

        def _describe(self, row):
            return f"drawn image {row}"

    return DrawnImages()


def scorers_of(names: Sequence[str], answers: str, space, labels, seen_ids: Sequence[str]) -> list:
    """Models that take a drawn image for its embedding, as `run_scorers` makes them of trained ones.

    Args:
        names: Some of `MODELS`. The random one has the same vectors; it is there for its time.
        answers: `"terms"` or `"labels"`.
        space: `WordSpace`.
        labels: All labels.
        seen_ids: Ids of the trained labels, which the softmax answers.
    """

    import keras
    import tensorflow as tf

    from devise_tf.evaluation.measure.measurement import Scorer
    from devise_tf.labels import OutputSpace

    by_labels = space.table(labels)
    by_answers = by_labels if answers == "labels" else space.table(labels, "terms")
    by_outputs = OutputSpace(seen_ids, {}).table(labels)
    table = by_labels.select(seen_ids).values

    def network(pixels):
        return keras.ops.normalize((tf.reshape(pixels, [-1, _SIDE * _SIDE * 3]) - 128.0) / _SCALE, axis=-1)

    def logits(embeddings):
        return tf.matmul(embeddings, table, transpose_b=True)

    scorers = []
    for name in names:
        if name == "softmax":
            scorers.append(Scorer(name, network, logits, by_outputs.select))
        else:
            scorers.append(Scorer(name, network, tf.identity, (by_labels if name == "random" else by_answers).select))
    return scorers


def main(_: list[str], values: flags.FlagValues) -> None:
    if not values.seen < values.candidates:
        raise command.UsageError(f"--seen must be below --candidates. Received: {values.seen} and {values.candidates}")
    unknown = [name for name in values.models if name not in MODELS]
    if unknown or not values.models:
        raise command.UsageError(
            f"--models must be out of {', '.join(MODELS)}. Received: --models={','.join(values.models)}"
        )
    if not all(k.isdecimal() and int(k) for k in values.k):
        raise command.UsageError(f"--k must hold numbers from 1. Received: --k={','.join(values.k)}")

    from devise_tf.evaluation.figures.claims import check_claims
    from devise_tf.evaluation.figures.summary import differences, summarize
    from devise_tf.evaluation.measure.correct_sets import CorrectSets
    from devise_tf.evaluation.measure.measure_models import measure_models
    from devise_tf.evaluation.measure.measurement import standard_settings
    from devise_tf.evaluation.measure.samples import sample_answers
    from devise_tf.evaluation.report.details import report_details
    from devise_tf.evaluation.report.write_report import write_report
    from devise_tf.images import BadImages, Crop, ImageInput
    from devise_tf.labels import Hierarchy, LabelSet, WordSpace
    from devise_tf.labels.coverage import label_coverage
    from devise_tf.packaged import packaged_path
    from devise_tf.text import load_vectors

    stages, ks = Stages(), sorted({int(k) for k in values.k})
    with stages.timed("labels, vectors, hierarchy"):
        listed, ilsvrc = (LabelSet.load(packaged_path(f"models/imagenet/labels_{n}.txt")) for n in ("21k", "1k"))
        ids = [*ilsvrc.ids, *(label for label in listed.ids if label not in ilsvrc)][: values.candidates]
        labels = listed.merged_with(ilsvrc).select(ids)
        terms, vectors = load_vectors("label_terms_300", terms=labels.term_filter())
        space = WordSpace(terms, vectors, missing="drop")
        table = space.table(labels)
        hierarchy = Hierarchy.open(values.hierarchy).restricted_to(table.ids)
    with_vector = set(table.ids)
    seen_ids = [label for label in ids[: values.seen] if label in with_vector]
    unseen_ids = [label for label in ids[values.seen :] if label in with_vector]
    source = drawn_images(table.values, table.ids, values.images, values.noise)
    with stages.timed("correct sets of all labels, once"):
        CorrectSets(hierarchy.neighbors, table.ids, table.ids, table.ids, ks)
    images, memory = ImageInput(source, Crop(_SIDE, _SIDE), BadImages(source)), Memory()
    with stages.timed("evaluate"), memory:
        scorers = scorers_of(values.models, values.answers, space, labels, seen_ids)
        measurement = measure_models(
            *(scorers, images, standard_settings(seen_ids, unseen_ids, source.present())),
            *(hierarchy.neighbors, ks, values.batch_size),
            verbose=0,
        )
    with stages.timed("figures and intervals"):
        report = summarize(measurement)
    with stages.timed("differences and claims"):
        report |= {
            "differences": differences(measurement, {}, 0),
            "claims": check_claims({values.answers: measurement}),
        }
    with stages.timed("details"):
        samples = sample_answers(scorers, images, measurement, hierarchy.neighbors, values.samples, 0)
        details = report_details(
            *(measurement, samples, labels, table, label_coverage(labels, space.index), seen_ids, hierarchy, 0)
        )
    with stages.timed("writing"), tempfile.TemporaryDirectory() as directory:
        report |= {
            "images": {name: len(images) for name, images in measurement.images.items()},
            "labels": {
                name: {"labels": len(setting.label_ids), "candidates": len(setting.candidate_ids)}
                for name, setting in measurement.settings.items()
            },
            "command": harness.machine()["command"],
        }
        write_report(directory, report, details)
        written = {entry.name: entry.stat().st_size for entry in os.scandir(directory)}
    rows = [
        [name, f"{s['seconds']:.1f}", f"{s['processor_seconds']:.1f}", f"{s['peak_megabytes']:.0f}"]
        for name, s in stages.results.items()
    ]
    print("\n" + harness.markdown_table(["stage", "seconds", "of all cores", "peak, MB"], rows))
    per_1000 = 1e3 * stages.results["evaluate"]["seconds"] / values.images
    growth = 1e6 * memory.growth() / values.images
    print(f"\n{per_1000:.2f} s for 1,000 images; memory grew by {growth:.0f} MB for a million images.")
    print("Report: " + ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sorted(written.items())))
    measured = {"stages": stages.results, "seconds_per_1000_images": per_1000, "megabytes_per_million_images": growth}
    harness.write_json(values.output, {"machine": harness.machine(), **measured, "report_bytes": written})


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, verbosity=logging.ERROR)


if __name__ == "__main__":
    sys.exit(run())
