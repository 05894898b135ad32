"""Load and damaged requests for `python -m devise_tf.serve`: no wrong answer, no failure of the server's own.

  python -m tests.benchmarks.serving_load --export_dir=serving/devise --minutes=10 --fuzzed=10000

Starts the server as a process of its own on the newest version. For `--minutes` minutes `--clients` clients send, over
gRPC and REST, requests of which three in ten are malformed. Each good answer is compared with the SavedModel's in this
process, each malformed request must be refused as the client's fault. Then come `--fuzzed` requests, each made of a
good one by chance: a third damaged images, a third damaged JSON, a third damaged messages of gRPC. Every answer must be
what the SavedModel says of the same input, or a refusal as the client's fault; answers to messages that ask for some of
the outputs only are counted, not compared. The exit code is 1 if one was wrong.
"""

import base64
import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter

import numpy as np
from absl import flags, logging

from tests.benchmarks import harness

_METHOD = "/tensorflow.serving.PredictionService/Predict"
# The codes of gRPC that put the fault with the client.
_REFUSALS = {
    "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED",
}  # fmt: skip
_TOLERANCE = 1e-4


def define_flags() -> None:
    flags.DEFINE_string("export_dir", "", "Base path of the exported versions.")
    flags.DEFINE_float("minutes", 10.0, "Length of the load, minutes.", 0)
    flags.DEFINE_integer("clients", 8, "Clients at once.", 1)
    flags.DEFINE_integer("fuzzed", 10_000, "Damaged requests.", 0)
    flags.DEFINE_integer("seed", 0, "Of all that is drawn.")
    flags.DEFINE_string("output", "", "JSON file of all measurements; empty for none.")


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
            found = self.signatures[signature](**{name: self._tf.constant(v) for name, v in inputs.items()})
        except (self._tf.errors.OpError, TypeError, ValueError):
            return None
        return {name: value.numpy() for name, value in found.items()}


def same(given: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    """Whether answers agree: scores but for rounding, and all else but for the order of scores that are equal so."""
    if given.keys() != expected.keys() or any(given[name].shape != value.shape for name, value in expected.items()):
        return False
    floats = [name for name, value in expected.items() if value.dtype.kind == "f"]
    others = [name for name in expected if name not in floats]
    if not all(np.allclose(given[name], expected[name], atol=_TOLERANCE) for name in floats):
        return False
    if "scores" not in expected:
        return all(given[name].tolist() == expected[name].tolist() for name in others)
    for row, scores in enumerate(expected["scores"]):
        # Runs of scores that may have changed places.
        ends = [*np.flatnonzero(-np.diff(scores) > _TOLERANCE) + 1, len(scores)]
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            ours, theirs = (
                sorted(zip(*(side[name][row, start:end].tolist() for name in others), strict=True))
                for side in (given, expected)
            )
            if ours != theirs:
                return False
    return True


class Caller:
    """Sends raw requests to a server.

    Args:
        rest: `http://HOST:PORT`.
        grpc_address: `HOST:PORT`.
    """

    def __init__(self, rest: str, grpc_address: str):
        import grpc

        self._errors = grpc.RpcError
        self._url = f"{rest}/v1/models/devise:predict"
        # As long as the server takes: what it refuses is to be refused by it.
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._predict = grpc.insecure_channel(grpc_address, options).unary_unary(_METHOD)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def rest(self, body: bytes) -> tuple[str, bytes]:
        """The status, as `OK`, `refused` or the code of a failure, and the answer."""
        try:
            with self._opener.open(urllib.request.Request(self._url, body), timeout=60) as answer:
                return "OK", answer.read()
        except urllib.error.HTTPError as error:
            with error:
                error.read()
            return ("refused" if 400 <= error.code < 500 else f"HTTP {error.code}"), b""
        except (OSError, http.client.HTTPException) as error:
            return f"HTTP: {error!r}", b""

    def grpc(self, body: bytes) -> tuple[str, bytes]:
        """The same over gRPC."""
        try:
            return "OK", self._predict(body, timeout=60)
        except self._errors as error:
            code = error.code().name
            return ("refused" if code in _REFUSALS else f"gRPC {code}: {error.details()[:200]}"), b""


def message(signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    """A PredictRequest."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "devise"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request.SerializeToString()


def document(signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    """The same as JSON, in the column format."""

    def plain(name, value):
        if isinstance(value, bytes):
            return {"b64": base64.b64encode(value).decode()} if name == "image_bytes" else value.decode()
        return [plain(name, item) for item in value]

    columns = {name: plain(name, value.tolist()) for name, value in inputs.items()}
    return json.dumps({"signature_name": signature, "inputs": columns}).encode()


def inputs_of_document(body: bytes) -> tuple[str, dict[str, np.ndarray]]:
    """The signature and the inputs of a request in JSON's column format."""
    found = json.loads(body)
    columns = found["inputs"]
    signature = found.get("signature_name", "serving_default")
    if not isinstance(columns, dict):  # a single input needs no name
        columns = {"labels" if signature == "embed_label" else "image_bytes": columns}

    def plain(value):
        if isinstance(value, list):
            return [plain(item) for item in value]
        # Padding may be missing.
        return base64.b64decode(value["b64"] + "==") if isinstance(value, dict) else value.encode()

    return signature, {name: np.array(plain(value), object) for name, value in columns.items()}


def outputs_of_message(body: bytes) -> dict[str, np.ndarray]:
    """The outputs of a PredictResponse."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse.FromString(body)
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def outputs_of_document(body: bytes, expected: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of an answer in JSON, of the kinds of those expected."""
    found = json.loads(body)["outputs"]
    found = found if isinstance(found, dict) and found.keys() == expected.keys() else {next(iter(expected)): found}
    arrays = {name: np.array(value, expected[name].dtype) for name, value in found.items()}
    for name, array in arrays.items():
        if array.dtype.kind == "O" and array.size:
            arrays[name] = np.vectorize(str.encode, otypes=[object])(array)
    return arrays


def make_images(seed: int) -> list[bytes]:
    """Small pictures in all forms that are read."""
    from PIL import Image

    chance, made = np.random.default_rng(seed), []
    for form, mode in (("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("GIF", "P"), ("BMP", "RGB")):
        for size in ((64, 48), (150, 200)):
            coarse = Image.fromarray(chance.uniform(0, 255, (5, 6, 3)).astype(np.uint8))
            file = io.BytesIO()
            coarse.resize(size, Image.Resampling.BICUBIC).convert(mode).save(file, form)
            made.append(file.getvalue())
    return made


def good_requests(images: list[bytes], texts: list[str]) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Good requests: pairs of a signature and its inputs."""
    chance, found = random.Random(0), []
    for image in images:
        batch = np.array([image], object)
        for count in (1, 3, 40):
            labels = [chance.choice([*texts, "no such label", "ångström!"]).encode() for _ in range(count)]
            found.append(("classify", {"image_bytes": batch, "labels": np.array([labels], object)}))
        found.append(("serving_default", {"image_bytes": batch}))
    found.append(("embed_image", {"image_bytes": np.array(images[:3], object)}))
    found.append(("embed_label", {"labels": np.array([text.encode() for text in texts[:9]], object)}))
    return found


def bad_requests(image: bytes) -> list[tuple[str, bytes]]:
    """Malformed requests: pairs of `rest` or `grpc` and a body."""
    batch, label = np.array([image], object), np.array([[b"cat"]], object)
    inputs = [
        ("serving_default", {"image_bytes": np.array([b"no image"], object)}),
        ("serving_default", {"image_bytes": np.array([image[: len(image) // 3]], object)}),
        ("serving_default", {"image_bytes": np.array([b""], object)}),
        ("serving_default", {"image_bytes": np.array([[image]], object)}),
        ("serving_default", {"labels": batch}),
        ("no_such_signature", {"image_bytes": batch}),
        ("classify", {"image_bytes": batch}),
        ("classify", {"image_bytes": batch, "labels": np.array([[b"a"], [b"b"], [b"c"]], object)}),
        ("classify", {"image_bytes": batch, "labels": label, "k": label}),
        ("embed_pixels", {"pixels": np.zeros((1, 3, 3, 3), np.float32)}),
    ]
    found = [("grpc", message(*request)) for request in inputs] + [("grpc", b"\xff\xff\xff"), ("grpc", b"")]
    bodies = [
        b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 5000, b'{"instances": 3}', b'{"instances": []}',
        b'{"inputs": {"image_bytes": [1]}}', b'{"instances": [{"b64": "!"}]}',
        b'{"instances": [{"image_bytes": {"b64": "AAAA"}}, {}]}',
        b'{"signature_name": "classify", "inputs": {"image_bytes": ["a"], "labels": [["a"], ["b", "c"]]}}',
        b'{"signature_name": "embed_label", "inputs": [[["a"]]]}', b'{"signature_name": 7, "instances": ["a"]}',
        b'{"signature_name": "embed_pixels", "inputs": [[[[1e999]]]]}',
    ]  # fmt: skip
    return found + [("rest", body) for body in bodies]


def damaged(chance: random.Random, body: bytes) -> bytes:
    """A copy with something wrong, by chance: bytes changed, cut off, repeated, removed, or numbers made large."""
    data = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 20))):
        place = chance.randrange(len(data)) if data else 0
        head = min(place, chance.choice((len(data), 64)))  # what stands in front matters most
        kind = chance.choice((0, 1, 1, 1, 2, 3, 4, 5))
        if kind == 0:
            del data[place:]
        elif kind == 1:
            data[head : head + 1] = bytes([chance.randrange(256)])
        elif kind == 2:
            data[head : head + 4] = chance.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0")
            )
        elif kind == 3:
            data[place:place] = data[place : place + chance.randrange(1, 200)]
        elif kind == 4:
            del data[place : place + chance.randrange(1, 50)]
        else:
            data[head : head + 1] = chance.choice((b"[", b"{", b'"', b"]", b"9" * 400, b"-", b"\0", b"\xc3", b"null"))
    return bytes(data)


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


def load(caller: Caller, reference: Reference, pid: int, texts: list[str]) -> dict:
    """The load test; returns its figures."""
    values, tally = flags.FLAGS, Tally()
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


def fuzz(caller: Caller, reference: Reference, texts: list[str]) -> dict:
    """The damaged requests; returns their figures."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import predict_pb2

    values, tally = flags.FLAGS, Tally()
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


def main(argv: list[str]) -> None:
    from devise_tf.export.publish import newest_version
    from devise_tf.labels import LabelSet

    values = flags.FLAGS
    if not values.export_dir:
        raise ValueError("--export_dir must name the base path of exported versions. Received: none")
    logging.set_verbosity(logging.ERROR)
    version = newest_version(values.export_dir)
    known = LabelSet.load(os.path.join(version, "assets.extra", "labels.txt"))
    texts = [terms[0] for terms in known.terms]
    command = [sys.executable, "-m", "devise_tf.serve", f"--export_dir={values.export_dir}", "--model_name=devise"]
    process = subprocess.Popen(
        [*command, "--rest_port=0", "--grpc_port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        rest, grpc_address = _addresses(process)
        caller, reference = Caller(rest, grpc_address), Reference(version)
        results = {"machine": harness.machine()}
        if values.minutes:
            results["load"] = load(caller, reference, process.pid, texts)
        if values.fuzzed:
            results["fuzz"] = fuzz(caller, reference, texts)
        signature, inputs = good_requests(make_images(values.seed), texts)[0]
        status, answer = caller.grpc(message(signature, inputs))
        alive = status == "OK" and same(outputs_of_message(answer), reference.run(signature, inputs))
        process.send_signal(signal.SIGTERM)
        results["server"] = {"answers after all": alive, "exit code": process.wait(60)}
    finally:
        process.kill()
        process.communicate()
    print(json.dumps(results, indent=1, default=str))
    harness.write_json(values.output, results)
    wrong = [problem for part in ("load", "fuzz") for problem in results.get(part, {}).get("wrong", [])]
    if wrong or not alive or results["server"]["exit code"]:
        sys.exit(f"Error: {len(wrong)} wrong answers or failures (the first 20 of each part are listed).")


def _addresses(process):
    """The REST and gRPC addresses that the server prints."""
    rest = grpc_address = ""
    for line in process.stdout:
        for word in line.split():
            if word.startswith("http://127.0.0.1:") and not rest:
                rest = "http://" + word.removeprefix("http://").split("/")[0].rstrip(".,")
            elif word.startswith("127.0.0.1:") and not grpc_address:
                grpc_address = word.rstrip(".,")
        if rest and grpc_address:
            # What it prints from now on must not fill the pipe.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return rest, grpc_address
    raise harness.TaskError(f"The server ended with {process.wait()} before it served.")


if __name__ == "__main__":
    harness.run_command_line(define_flags, main)
