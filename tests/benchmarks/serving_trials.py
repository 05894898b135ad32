"""A server under load, and under damaged requests."""

import os
import random
import sys
import threading
import time
from collections import Counter

import numpy as np
from absl import flags

from tests.benchmarks.serving_requests import (
    Caller,
    bad_requests,
    damaged,
    document,
    good_requests,
    inputs_of_document,
    make_images,
    message,
    outputs_of_document,
    outputs_of_message,
    same,
)


class Reference:
    """The SavedModel in this process: what answers must be."""

    def __init__(self, version: str):
        import tensorflow as tf

        self._tf = tf
        self.signatures = tf.saved_model.load(version).signatures

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The outputs, or None where the SavedModel refuses the inputs or has no such signature or inputs."""
        if signature not in self.signatures:
            return None
        try:
            result = self.signatures[signature](**{name: self._tf.constant(v) for name, v in inputs.items()})
        except (self._tf.errors.OpError, TypeError, ValueError):
            return None
        return {name: value.numpy() for name, value in result.items()}


def memory_of(pid: int) -> float:
    """Resident memory, MiB; of Linux."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Tally:
    """Counts of answers, and what was wrong."""

    def __init__(self):
        self._lock = threading.Lock()
        self.counts: Counter = Counter()
        self.wrong: list[str] = []
        self.seconds: list[float] = []

    def add(self, kind: str, problem: str = "", seconds: float | None = None) -> None:
        with self._lock:
            self.counts[kind] += 1
            if problem:
                self.wrong.append(problem)
            if seconds is not None:
                self.seconds.append(seconds)


def load(caller: Caller, reference: Reference, pid: int, texts: list[str], values: flags.FlagValues) -> dict:
    """The load test; returns its figures."""
    tally = Tally()
    images = make_images(values.seed)
    good = []
    for signature, inputs in good_requests(images, texts):
        expected = reference.run(signature, inputs)
        good.append((message(signature, inputs), document(signature, inputs), expected))
    bad = bad_requests(images[0])
    end = time.monotonic() + 60 * values.minutes

    def client(number):
        chance = random.Random(f"{values.seed} {number}")
        while time.monotonic() < end:
            try:
                request(chance)
            except Exception as error:  # an answer that cannot even be read is a wrong one
                tally.add("unreadable answers", repr(error))

    def request(chance):
        if chance.random() < 0.3:
            api, body = chance.choice(bad)
            status, _ = getattr(caller, api)(body)
            tally.add(f"malformed, {status}", "" if status == "refused" else f"{api} {body[:80]!r}: {status}")
            return
        as_message, as_document, expected = chance.choice(good)
        over_grpc = chance.random() < 0.5
        started = time.perf_counter()
        status, answer = caller.grpc(as_message) if over_grpc else caller.rest(as_document)
        seconds = time.perf_counter() - started
        problem = status if status != "OK" else ""
        if not problem:
            given = outputs_of_message(answer) if over_grpc else outputs_of_document(answer, expected)
            problem = "" if same(given, expected) else f"a wrong answer: {given} in place of {expected}"
        tally.add(f"good, {status}", problem, seconds)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(values.clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        memory.append(memory_of(pid))
        if sys.stderr.isatty():
            passed = time.monotonic() - started
            print(f"\r{passed:5.0f} s, {sum(tally.counts.values())} requests", end="", file=sys.stderr)
    percentiles = np.percentile(np.array(tally.seconds or [np.nan]) * 1e3, [50, 95, 99]).tolist()
    parts = [float(np.median(part)) for part in np.array_split(memory, 5)]
    return {
        "seconds": time.monotonic() - started,
        "counts": dict(tally.counts),
        "wrong": tally.wrong[:20],
        "p50_p95_p99_ms": percentiles,
        "memory_mib_by_fifths": parts,
    }


def fuzz(caller: Caller, reference: Reference, texts: list[str], values: flags.FlagValues) -> dict:
    """The damaged requests; returns their figures."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import predict_pb2

    tally = Tally()
    images = make_images(values.seed)
    good = good_requests(images, texts)

    def check_answer(kind, status, given, signature, inputs):
        if status == "refused":
            tally.add(f"{kind}, refused")
        elif status != "OK":
            tally.add(f"{kind}, failed", f"{kind}: {status}")
        else:
            expected = reference.run(signature, inputs)
            right = expected is not None and same(given(expected), expected)
            tally.add(f"{kind}, answered", "" if right else f"{kind}: a wrong answer to {signature}: {expected}")

    def image(chance):
        inputs = {"image_bytes": np.array([damaged(chance, chance.choice(images))], object)}
        if chance.random() < 0.5:
            status, answer = caller.grpc(message("serving_default", inputs))
            check_answer("image", status, lambda _: outputs_of_message(answer), "serving_default", inputs)
        else:
            status, answer = caller.rest(document("serving_default", inputs))
            check_answer("image", status, lambda e: outputs_of_document(answer, e), "serving_default", inputs)

    def text(chance):
        body = damaged(chance, document(*chance.choice(good)))
        status, answer = caller.rest(body)
        signature, inputs = inputs_of_document(body) if status == "OK" else ("", {})
        if signature in reference.signatures:  # over REST, TF Serving does not look at other names
            names = reference.signatures[signature].structured_input_signature[1]
            inputs = {name: value for name, value in inputs.items() if name in names}
        check_answer("JSON", status, lambda expected: outputs_of_document(answer, expected), signature, inputs)

    def protobuf(chance):
        body = damaged(chance, message(*chance.choice(good)))
        status, answer = caller.grpc(body)
        try:
            request = predict_pb2.PredictRequest.FromString(body)
            signature = request.model_spec.signature_name or "serving_default"
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()} if status == "OK" else {}
            wanted = set(request.output_filter)
        except DecodeError:
            signature, inputs, wanted = "", {}, set()
        if status == "OK" and wanted:
            tally.add("message, answered")
            return
        check_answer("message", status, lambda _: outputs_of_message(answer), signature, inputs)

    def work(worker):
        for number in range(worker, values.fuzzed, values.clients):
            chance = random.Random(f"{values.seed} {number}")
            try:
                (image, text, protobuf)[number % 3](chance)
            except Exception as error:  # an answer that cannot even be read is a wrong one
                tally.add("unreadable answers", f"request {number}: {error!r}")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(values.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    silent = [
        kind for kind in ("image", "JSON", "message") if values.fuzzed >= 1000 and not tally.counts[f"{kind}, answered"]
    ]
    tally.wrong += [f"no {kind} of {values.fuzzed} requests was answered, only refused" for kind in silent]
    return {"counts": dict(sorted(tally.counts.items())), "wrong": tally.wrong[:20]}
