"""What serving costs: the exported network beside the bare one, the server beside a call in its process, batching.

  python -m tests.benchmarks.serving_speed --model_dir=runs/mine

Exports the run twice into a temporary folder, with in-graph batching and without, and measures, in rounds:
- network: the signature `embed_pixels` beside the concrete function of the Keras model, on the same pixels in batches
  of `--batch_size`;
- server: time from request to answer of `--clients` clients at once, each with one photo and 20 labels, through gRPC,
  beside the same calls by as many threads in the server's process; clients are threads of a process of their own;
- batching: requests a second with in-graph batching, beside those without, through gRPC and in the process.
Ratios are of medians of a round; the table has their median over the rounds, least and greatest.
"""

import concurrent.futures
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from absl import flags, logging

from devise_tf import command
from tests.benchmarks import harness

_LABELS = 20


def define_flags(define: command.Definitions) -> None:
    define.string("model_dir", "", "Model directory of a finished run.")
    define.enum("model", "devise", ["devise", "softmax"], "Which of its models.")
    define.integer("batch_size", 32, "Images of a call of the network.", 1)
    define.integer("calls", 20, "Calls of the network in a round.", 1)
    define.integer("clients", 8, "Clients at once.", 1)
    define.integer("requests", 40, "Requests of each client in a round.", 1)
    define.integer("rounds", 9, "Rounds.", 1)
    define.integer("photo_size", 256, "Shorter side of the photos that are sent, pixels.", 8)
    define.integer("max_batch_size", 8, "In-graph batching: most images of one run of the network.", 1)
    define.integer("batch_timeout_micros", 2_000, "In-graph batching: how long an image waits.", 0)
    define.integer("batch_threads", 1, "In-graph batching: runs at the same time.", 1)
    define.string("output", "", "JSON file of all measurements; empty for none.")


def photos(count: int, size: int) -> list[bytes]:
    """JPEG files of smooth pictures with noise, `size` by 4/3 `size` pixels."""
    from PIL import Image

    made = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = Image.fromarray(random.uniform(0, 255, (6, 8, 3)).astype(np.uint8))
        smooth = np.asarray(coarse.resize((size * 4 // 3, size), Image.Resampling.BICUBIC), np.float32)
        noisy = np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(noisy).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def timed_calls(call: Callable[[int], object], workers: int, calls: int) -> tuple[list[float], float]:
    """Calls `call(number)` from `workers` threads, `calls` times each.

    Returns:
        The seconds of each call, and calls a second over all.
    """

    def work(worker):
        seconds = []
        for number in range(calls):
            started = time.perf_counter()
            call(worker * calls + number)
            seconds.append(time.perf_counter() - started)
        return seconds

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        seconds = [value for part in pool.map(work, range(workers)) for value in part]
    return seconds, len(seconds) / (time.perf_counter() - started)


class ClientProcess:
    """Clients in a process of their own, which answers each line `ADDRESS` with a line of its measurements."""

    def __init__(self, clients: int, requests: int, photo_size: int, labels: list[str]):
        arguments = json.dumps([clients, requests, photo_size, labels])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.serving_speed", "--clients_of", arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, address: str) -> tuple[list[float], float]:
        """Seconds of each request, and requests a second."""
        self._process.stdin.write(address + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise harness.TaskError(f"The clients ended with {self._process.wait()}.")
        return tuple(json.loads(line))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def clients_of(arguments: str) -> None:
    """The client process."""
    from devise_tf.export.client import ServingClient

    clients, requests, photo_size, labels = json.loads(arguments)
    images = photos(16, photo_size)
    for line in sys.stdin:
        host, _, port = line.strip().rpartition(":")
        with ServingClient(host, int(port), model_name="devise") as client:
            client.classify(images[:1], labels)
            measured = timed_calls(lambda number: client.classify([images[number % 16]], labels), clients, requests)  # noqa: B023
        print(json.dumps(measured), flush=True)


def network_ratios(model_dir: str, version: str, values: flags.FlagValues) -> dict[str, list[float]]:
    """Milliseconds of a call of the bare network and of the exported one, by round."""
    import keras
    import tensorflow as tf

    from devise_tf.models import devise, visual  # noqa: F401 (Keras finds their classes by name)

    network = keras.models.load_model(
        os.path.join(model_dir, "devise.keras" if values.model == "devise" else "cnn.keras"), compile=False
    )
    exported = tf.saved_model.load(version).signatures["embed_pixels"]
    shape = exported.structured_input_signature[1]["pixels"].shape[1:]
    bare = tf.function(lambda pixels: network(pixels, training=False)).get_concrete_function(
        tf.TensorSpec([None, *shape], tf.float32)
    )
    pixels = tf.constant(np.random.default_rng(0).uniform(0, 255, (values.batch_size, *shape)), tf.float32)
    runs = {"bare": lambda: bare(pixels), "exported": lambda: exported(pixels=pixels)}
    result: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(values.rounds + 1):
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(values.calls):
            for name in sorted(runs, reverse=bool((number + round_number) % 2)):
                started = time.perf_counter()
                output = runs[name]()
                (output["embedding"] if name == "exported" else output).numpy()
                seconds[name].append(time.perf_counter() - started)
        if round_number:  # the first warms up
            for name, times in seconds.items():
                result[name].append(1e3 * statistics.median(times))
    return result


def session_call(version: str) -> Callable[[np.ndarray, np.ndarray], list[np.ndarray]]:
    """`classify` of a version as a server runs it: through a v1 Session."""
    import tensorflow as tf

    with tf.Graph().as_default():
        session = tf.compat.v1.Session()
        signature = tf.compat.v1.saved_model.load(session, ["serve"], version).signature_def["classify"]
        outputs = [info.name for _, info in sorted(signature.outputs.items())]
        return session.make_callable(outputs, [signature.inputs[name].name for name in ("image_bytes", "labels")])


def server_figures(plain: str, batched: str, labels: list[str], values: flags.FlagValues) -> dict[str, list[float]]:
    """By round: milliseconds in the process and through gRPC; requests a second of both, without and with batching."""
    from devise_tf.export.server.server import Server

    images = photos(16, values.photo_size)
    single = [np.array([image], object) for image in images]
    texts = np.array([[label.encode() for label in labels]], object)
    runs = {base: session_call(os.path.join(base, "1")) for base in (plain, batched)}
    clients = ClientProcess(values.clients, values.requests, values.photo_size, labels)
    names = ("in_process", "grpc", "plain_rate", "batched_rate", "plain_in_process_rate", "batched_in_process_rate")
    result: dict[str, list[float]] = {name: [] for name in names}
    try:
        with (
            Server(plain, model_name="devise", rest_port=0, grpc_port=0) as plain_server,
            Server(batched, model_name="devise", rest_port=0, grpc_port=0) as batched_server,
        ):
            for round_number in range(values.rounds + 1):
                local = {
                    base: timed_calls(lambda n, run=run: run(single[n % 16], texts), values.clients, values.requests)
                    for base, run in runs.items()
                }
                answers, rate = clients.measure(plain_server.grpc_address)
                _, batched_rate = clients.measure(batched_server.grpc_address)
                if round_number:  # the first warms up
                    result["in_process"].append(1e3 * statistics.median(local[plain][0]))
                    result["grpc"].append(1e3 * statistics.median(answers))
                    result["plain_rate"].append(rate)
                    result["batched_rate"].append(batched_rate)
                    result["plain_in_process_rate"].append(local[plain][1])
                    result["batched_in_process_rate"].append(local[batched][1])
    finally:
        clients.close()
    return result


def main(_: list[str], values: flags.FlagValues) -> None:
    from devise_tf.export.build import ExportSettings, export_model
    from devise_tf.export.served_model import Batching
    from devise_tf.labels import LabelSet

    if not values.model_dir:
        raise command.UsageError("--model_dir must name the model directory of a finished run. Received: none")
    model_dir = os.path.expanduser(values.model_dir)
    with tempfile.TemporaryDirectory(prefix="devise_tf-benchmark-") as folder:
        plain, batched = os.path.join(folder, "plain"), os.path.join(folder, "batched")
        version = export_model(model_dir, plain, ExportSettings(values.model))
        batching = Batching(values.max_batch_size, values.batch_timeout_micros, values.batch_threads)
        export_model(model_dir, batched, ExportSettings(values.model, batching=batching))
        known = LabelSet.load(os.path.join(version, "assets.extra", "labels.txt"))
        labels = [terms[0] for terms in known.terms[:_LABELS]]
        network = network_ratios(model_dir, version, values)
        server = server_figures(plain, batched, labels, values)
    rows = [
        ["network, ms", "bare", "exported", network["bare"], network["exported"]],
        ["server, ms", "in the process", "gRPC", server["in_process"], server["grpc"]],
        ["batching, requests/s through gRPC", "without", "with", server["plain_rate"], server["batched_rate"]],
        [
            "batching, requests/s in the process",
            "without",
            "with",
            server["plain_in_process_rate"],
            server["batched_in_process_rate"],
        ],
    ]
    table = [
        [
            f"{what}: {first}, {second}",
            f"{statistics.median(firsts):.1f}",
            f"{statistics.median(seconds):.1f}",
            harness.spread([b / a for a, b in zip(firsts, seconds, strict=True)], ".2f"),
        ]
        for what, first, second, firsts, seconds in rows
    ]
    print("\n" + harness.markdown_table(["what: first, second", "first", "second", "second / first"], table))
    if values.output:
        harness.write_json(values.output, {"network": network, "server": server})


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv, verbosity=logging.ERROR)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--clients_of":
        clients_of(sys.argv[2])
    else:
        sys.exit(run())
