"""What LiteRT, int8 and ONNX files of an exported version cost and keep: size, agreement, hit@1 and time an image.

  python -m tests.benchmarks.convert --export_dir=serving/devise --images=folder:data/tiny-imagenet

Converts the newest version three ways into a temporary folder, int8 by `--calibration` images of the split `train`, and
runs all of them beside the SavedModel on `--limit` images of `val`, evenly spaced over the labels that the export
answers:
- size: the file; of the SavedModel its directory, in which the terms that requests may name take the most;
- largest difference, and cosines between the embeddings and the SavedModel's;
- same label: share of images whose best label, out of all that the export answers, is the SavedModel's;
- hit@1: share of images whose best label is the folder's;
- ms an image: one image at a time, from pixels to embedding, `--timed` images a round; the models take turns within a
  round, in changing order. Median over the rounds, least and greatest.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from absl import flags, logging

from devise_tf import command
from devise_tf.export.converted_file import LITERT, ONNX, check_packages, load_converted
from tests.benchmarks import harness

_SAVED_MODEL = "SavedModel"


def define_flags(define: command.Definitions) -> None:
    define.string("export_dir", "", "Base path of the exported versions, or one of them.")
    define.string("images", "", "folder:DIR with DIR/train and DIR/val, tfds:NAME, or builtin.")
    define.string("data_dir", "", "Where TensorFlow Datasets keeps its files; empty for its own default.")
    define.integer("calibration", 200, "Images that int8 is calibrated on.", 1)
    define.integer("limit", 2000, "Images that are measured; 0 for all.", 0)
    define.integer("timed", 50, "Images of a round of timing.", 1)
    define.integer("rounds", 7, "Rounds of timing.", 1)
    define.integer("threads", 1, "Threads of each model, and cores of the process.", 1)
    define.string("output", "", "JSON file of all measurements; empty for none.")


def label_matrix(loaded) -> np.ndarray:
    """What embeddings are multiplied with, [L, D]: an export's label vectors, or unit vectors for a softmax's outputs.

    Args:
        loaded: What `tf.saved_model.load` gave.
    """
    labels = loaded.labels
    if hasattr(labels, "label_vectors"):
        return labels.label_vectors.numpy()
    dimension = loaded.signatures["embed_pixels"].structured_outputs["embedding"].shape[1]
    return np.eye(dimension, dtype=np.float32)[labels.label_columns.numpy()]


def measure(
    models: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    batches: Sequence[tuple[np.ndarray, np.ndarray]],
    matrix: np.ndarray,
) -> dict[str, dict[str, float]]:
    """Compares models with the first of them, image by image.

    Args:
        models: Functions from pixels [N, S, S, 3] to embeddings [N, D], by name.
        batches: Pairs of pixels and the images' labels, rows of `matrix`, int [N].
        matrix: float32 [L, D], the label vectors.

    Returns:
        By name `{"max_difference", "mean_cosine", "least_cosine", "same_label", "hit@1"}`.
    """
    first = next(iter(models))
    result = {name: {"difference": [], "cosine": [], "same": [], "hit": []} for name in models}
    for pixels, labels in batches:
        embeddings = {name: run(pixels) for name, run in models.items()}
        reference = embeddings[first]
        best = np.argmax(reference @ matrix.T, axis=1)
        for name, embedding in embeddings.items():
            norms = np.linalg.norm(embedding, axis=1) * np.linalg.norm(reference, axis=1)
            own = np.argmax(embedding @ matrix.T, axis=1)
            values = result[name]
            values["difference"].extend(np.abs(embedding - reference).max(axis=1))
            values["cosine"].extend(np.sum(embedding * reference, axis=1) / np.maximum(norms, 1e-30))
            values["same"].extend(own == best)
            values["hit"].extend(own == labels)
    return {
        name: {
            "max_difference": float(np.max(values["difference"])),
            "mean_cosine": float(np.mean(values["cosine"])),
            "least_cosine": float(np.min(values["cosine"])),
            "same_label": float(np.mean(values["same"])),
            "hit@1": float(np.mean(values["hit"])),
        }
        for name, values in result.items()
    }


def milliseconds(
    models: Mapping[str, Callable[[np.ndarray], np.ndarray]], images: Sequence[np.ndarray], rounds: int
) -> dict[str, list[float]]:
    """Times models side by side on single images.

    Returns:
        By name the milliseconds an image of each round.
    """
    names = list(models)
    for name in names:
        models[name](images[0][np.newaxis])  # the first call prepares
    result: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            started = time.perf_counter()
            for image in images:
                models[name](image[np.newaxis])
            result[name].append(1000 * (time.perf_counter() - started) / len(images))
    return result


def main(_: list[str], options: flags.FlagValues) -> None:
    for name in ("export_dir", "images"):
        if not options[name].value:
            raise command.UsageError(f"`{name}` must be given. Received: {name}=''")
    try:
        check_packages(*LITERT, *ONNX)
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
    harness.pin_cores(options.threads)
    import tensorflow as tf

    from devise_tf.export import convert
    from devise_tf.export.manifest import LABELS_FILE
    from devise_tf.export.publish import newest_version
    from devise_tf.export.sample_pixels import sample_pixels
    from devise_tf.images import open_images
    from devise_tf.labels import LabelSet

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    version = newest_version(os.path.expanduser(options.export_dir))
    answered = LabelSet.load(os.path.join(version, LABELS_FILE)).ids
    sources = {split: open_images(options.images, split, options.data_dir or None) for split in ("train", "val")}
    both = [label for label in answered if label in set(sources["val"].present())]
    if len(both) < 2:
        raise ValueError(
            f"At least two of the labels that the export answers must have images in {sources['val'].name}. "
            f"Received: {answered[:5]}, and {sources['val'].present()[:5]} there"
        )
    val = sources["val"].select(both)
    with tempfile.TemporaryDirectory() as directory:
        batches = sample_pixels(sources["train"], options.calibration, version)
        calibration = [image for pixels, _ in batches for image in pixels]
        paths = {name: os.path.join(directory, name) for name in ("LiteRT", "LiteRT int8", "ONNX")}
        convert.to_litert(version, paths["LiteRT"])
        convert.to_litert(version, paths["LiteRT int8"], calibration)
        convert.to_onnx(version, paths["ONNX"])
        with tf.device("CPU:0"):
            loaded = tf.saved_model.load(version)
        function = loaded.signatures["embed_pixels"]
        models = {_SAVED_MODEL: lambda pixels: function(pixels=tf.constant(pixels))["embedding"].numpy()}
        models |= {name: load_converted(path, options.threads) for name, path in paths.items()}
        sizes = {_SAVED_MODEL: _directory_bytes(version)}
        sizes |= {name: os.path.getsize(path) for name, path in paths.items()}
        positions = np.array([answered.index(label) for label in val.label_ids])
        batches = sample_pixels(val, options.limit, version)
        batches = [(pixels, positions[labels]) for pixels, labels in batches]
        results = measure(models, batches, label_matrix(loaded))
        images = [image for pixels, _ in batches for image in pixels]
        times = milliseconds(models, images[: options.timed], options.rounds)
    rows = []
    for name in models:
        results[name] |= {"bytes": sizes[name], "milliseconds": times[name]}
        own = results[name]
        rows.append(
            [
                name,
                f"{own['bytes'] / 1e6:.2f}",
                f"{own['max_difference']:.1e}",
                f"{own['mean_cosine']:.5f}",
                f"{own['least_cosine']:.4f}",
                f"{own['same_label']:.1%}",
                f"{own['hit@1']:.1%}",
                harness.spread(times[name], ".2f"),
            ]
        )
    harness.write_json(
        options.output,
        {"machine": harness.machine(), "images": len(images), "labels": len(answered), "results": results},
    )
    header = ["", "MB", "largest difference", "mean cosine", "least", "same label", "hit@1", "ms an image"]
    print(
        f"\n{len(images)} images of {val.name}, {len(answered)} labels, int8 calibrated on {len(calibration)} images, "
        f"threads: {options.threads}\n\n{harness.markdown_table(header, rows)}"
    )


def _directory_bytes(directory):
    return sum(os.path.getsize(os.path.join(top, name)) for top, _, names in os.walk(directory) for name in names)


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, verbosity=logging.ERROR)


if __name__ == "__main__":
    sys.exit(run())
