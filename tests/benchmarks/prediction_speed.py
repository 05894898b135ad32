"""What a prediction costs beside the bare network, and how long the commands take to start.

  python -m tests.benchmarks.prediction_speed
  python -m tests.benchmarks.prediction_speed --model_dir=runs/mine --models=softmax,devise

For each preset, or model directory, and each of its models, on photos that are made up, in rounds:
- the whole way: `Predictor.predict_labels` from JPEG files' bytes to the 5 best of `--candidates` labels (of a softmax,
  of those that it was trained on), one photo at a time and in batches;
- decoding: reading, decoding and cropping alone, `Predictor.prepared`;
- predictor: network and scoring on ready pixels, `Predictor.predict_pixels`;
- bare: the Keras network alone, in one `tf.function`, on the same pixels; of ConSE that is the softmax.
Predictor and bare network are measured in turns, call by call; their ratio is that of a round's medians, and the table
has its median over the rounds, least and greatest. The seconds of the commands are those of whole processes.
"""

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from absl import flags, logging

from devise_tf import command
from tests.benchmarks import harness
from tests.benchmarks.serving_speed import photos

# The whole processes that are timed.
COMMANDS = {
    "import devise_tf": ["-c", "import devise_tf"],
    "python -m devise_tf.predict --help": ["-m", "devise_tf.predict", "--help"],
    "python -m devise_tf.models list": ["-m", "devise_tf.models", "list"],
}
WAYS = ("whole", "decoding", "predictor", "bare")
_K = 5


def define_flags(define: command.Definitions) -> None:
    define.list("model_dir", [], "Presets or model directories; all presets of the package by default.")
    define.list("models", [], "Models to measure; all that each has by default.")
    define.string("labels_file", "models/imagenet/labels_21k.txt", "File of labels to choose from.")
    define.integer("candidates", 1000, "How many of them, the first ones.", 1)
    define.list("batch_sizes", ["1", "64"], "Photos at once.")
    define.integer("calls", 10, "Calls in a round for one photo at a time; larger batches have fewer, at least 2.", 2)
    define.integer("rounds", 7, "Rounds.", 1)
    define.integer("photo_size", 480, "Shorter side of the photos, pixels.", 8)
    define.integer("starts", 5, "Starts of each command; 0 for none.", 0)
    define.string("output", "", "JSON file of all measurements; empty for none.")


def bare_network(predictor) -> Callable:
    """The Keras network that a predictor stands on, of ConSE the softmax: a graph from pixels to what it gives.

    Args:
        predictor: `Predictor`.
    """
    import tensorflow as tf

    network = getattr(predictor.network, "classifier", predictor.network)
    shape = [None, predictor.image_size, predictor.image_size, 3]
    forward = tf.function(lambda pixels: network(pixels, training=False))
    concrete = forward.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    concrete.network = network  # graphs do not keep the variables that they read
    return concrete


def rounds(predictor, labels, batch_size: int, values: flags.FlagValues) -> dict[str, list[float]]:
    """Seconds of a call, the median of each round: the whole way, decoding, predictor and bare network.

    Args:
        predictor: `Predictor`.
        labels: `LabelSet` to choose from, or None for the model's own.
        batch_size: Photos of a call.
    """
    import tensorflow as tf

    calls = max(2, values.calls // batch_size)
    files = photos(16, values.photo_size)
    images = [files[number % len(files)] for number in range(batch_size)]
    pixels = np.stack(next(predictor.prepared(images)))
    forward, tensor = bare_network(predictor), tf.constant(pixels)
    ways: dict[str, Callable[[], object]] = {
        "whole": lambda: predictor.predict_labels(images, labels, _K),
        "decoding": lambda: list(predictor.prepared(images)),
        "predictor": lambda: predictor.predict_pixels(pixels, labels, _K),
        "bare": lambda: [output.numpy() for output in tf.nest.flatten(forward(tensor))],
    }
    result: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(values.rounds + 1):
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        for call, pair in itertools.product(range(calls), (WAYS[:2], WAYS[2:])):
            for name in pair if (number + call) % 2 else pair[::-1]:
                started = time.perf_counter()
                ways[name]()
                seconds[name].append(time.perf_counter() - started)
        if number:  # the first warms up
            for name, times in seconds.items():
                result[name].append(statistics.median(times))
    return result


def seconds_of_commands(starts: int) -> dict[str, list[float]]:
    """Seconds of the whole processes of `COMMANDS`, started in turns."""
    result: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(starts):
        for name, arguments in COMMANDS.items():
            started = time.perf_counter()
            done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
            result[name].append(time.perf_counter() - started)
            if done.returncode:
                raise harness.TaskError(f"A process ended with status {done.returncode}: {name}\n{done.stderr[-3000:]}")
    return result


def figures(seconds: Mapping[str, Sequence[float]], batch_size: int) -> list[str]:
    """Of each way milliseconds, of batches images a second; then the predictor's seconds as a multiple of the bare."""
    each = [statistics.median(seconds[name]) for name in WAYS]
    shown = [f"{1e3 * one:.1f}" if batch_size == 1 else f"{batch_size / one:.0f}" for one in each]
    ratios = [ours / bare for ours, bare in zip(seconds["predictor"], seconds["bare"], strict=True)]
    return [*shown, harness.spread(ratios, ".3f")]


def table(measured: Mapping[int, Mapping[str, Mapping[str, Sequence[float]]]]) -> str:
    """A table for each size of batches, a row for each model.

    Args:
        measured: By batch size and model what `rounds` gives.
    """
    tables = []
    for batch_size, models in measured.items():
        unit = "ms a photo, one at a time" if batch_size == 1 else f"images a second, batches of {batch_size}"
        rows = [[name, *figures(seconds, batch_size)] for name, seconds in models.items()]
        header = [unit, "whole way", "decoding", "predictor", "bare", "predictor's seconds / bare"]
        tables.append(harness.markdown_table(header, rows))
    return "\n\n".join(tables)


def main(_: list[str], values: flags.FlagValues) -> None:
    if not values.batch_sizes or not all(size.isdecimal() and int(size) for size in values.batch_sizes):
        raise command.UsageError(f"--batch_sizes must hold numbers from 1. Received: {','.join(values.batch_sizes)}")

    from devise_tf.labels.open_labels import open_labels
    from devise_tf.models.predictor import Predictor
    from devise_tf.models.sources import open_run
    from devise_tf.packaged import packaged_files

    listed = open_labels(values.labels_file, "labels_file")
    labels = listed.select(listed.ids[: values.candidates])
    commands = seconds_of_commands(values.starts)
    measured: dict[int, dict] = {int(size): {} for size in values.batch_sizes}
    for name in values.model_dir or packaged_files("preset"):
        run = open_run(name)
        for model in values.models or run.models():
            predictor = Predictor(run, model)
            asked = None if model == "softmax" else labels
            for batch_size, models in measured.items():
                models[f"{name}, {model}"] = rounds(predictor, asked, batch_size, values)
            print(f"{name}, {model}: done", flush=True)
    print("\n" + table(measured))
    if values.starts:
        rows = [[command, harness.spread(seconds, ".2f")] for command, seconds in commands.items()]
        print("\n" + harness.markdown_table(["whole process", "seconds"], rows))
    result = {"machine": harness.machine(), "seconds": measured, "commands": commands}
    harness.write_json(values.output, result)


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, verbosity=logging.ERROR)


if __name__ == "__main__":
    sys.exit(run())
