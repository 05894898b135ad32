"""Requests to a model server, good, malformed and damaged, and what their answers say."""

import base64
import http.client
import io
import json
import random
import urllib.error
import urllib.request

import numpy as np

_METHOD = "/tensorflow.serving.PredictionService/Predict"
# The codes of gRPC that put the fault with the client.
_REFUSALS = {
    "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED",
}  # fmt: skip
_TOLERANCE = 1e-4


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
    result = json.loads(body)
    columns = result["inputs"]
    signature = result.get("signature_name", "serving_default")
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
    result = json.loads(body)["outputs"]
    result = result if isinstance(result, dict) and result.keys() == expected.keys() else {next(iter(expected)): result}
    arrays = {name: np.array(value, expected[name].dtype) for name, value in result.items()}
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
    chance, result = random.Random(0), []
    for image in images:
        batch = np.array([image], object)
        for count in (1, 3, 40):
            labels = [chance.choice([*texts, "no such label", "ångström!"]).encode() for _ in range(count)]
            result.append(("classify", {"image_bytes": batch, "labels": np.array([labels], object)}))
        result.append(("serving_default", {"image_bytes": batch}))
    result.append(("embed_image", {"image_bytes": np.array(images[:3], object)}))
    result.append(("embed_label", {"labels": np.array([text.encode() for text in texts[:9]], object)}))
    return result


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
    result = [("grpc", message(*request)) for request in inputs] + [("grpc", b"\xff\xff\xff"), ("grpc", b"")]
    bodies = [
        b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 5000, b'{"instances": 3}', b'{"instances": []}',
        b'{"inputs": {"image_bytes": [1]}}', b'{"instances": [{"b64": "!"}]}',
        b'{"instances": [{"image_bytes": {"b64": "AAAA"}}, {}]}',
        b'{"signature_name": "classify", "inputs": {"image_bytes": ["a"], "labels": [["a"], ["b", "c"]]}}',
        b'{"signature_name": "embed_label", "inputs": [[["a"]]]}', b'{"signature_name": 7, "instances": ["a"]}',
        b'{"signature_name": "embed_pixels", "inputs": [[[[1e999]]]]}',
    ]  # fmt: skip
    return result + [("rest", body) for body in bodies]


def damaged(chance: random.Random, body: bytes) -> bytes:
    """A copy with something wrong, by chance: bytes changed, cut off, repeated, removed, or numbers made large."""
    data = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 20))):
        position = chance.randrange(len(data)) if data else 0
        head = min(position, chance.choice((len(data), 64)))  # what stands in front matters most
        kind = chance.choice((0, 1, 1, 1, 2, 3, 4, 5))
        if kind == 0:
            del data[position:]
        elif kind == 1:
            data[head : head + 1] = bytes([chance.randrange(256)])
        elif kind == 2:
            data[head : head + 4] = chance.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0")
            )
        elif kind == 3:
            data[position:position] = data[position : position + chance.randrange(1, 200)]
        elif kind == 4:
            del data[position : position + chance.randrange(1, 50)]
        else:
            data[head : head + 1] = chance.choice((b"[", b"{", b'"', b"]", b"9" * 400, b"-", b"\0", b"\xc3", b"null"))
    return bytes(data)
