"""What an export, its server and its clients agree on: the six signatures, and what TensorFlow Serving prescribes.

Sizes of tensors are letters: N images or labels, k labels of an answer, M labels of a request, D components of an
embedding, S pixels a side.
"""

import dataclasses

# Requests that TensorFlow Serving replays before it serves a version.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1_000

# What TensorFlow Serving answers over HTTP for each gRPC status, in the order of their numbers.
HTTP_STATUS = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
# The likeliest of the gRPC statuses that share an HTTP status.
GRPC_STATUS = {
    **{http: code for code, http in HTTP_STATUS.items()},
    400: "INVALID_ARGUMENT",
    413: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
}


@dataclasses.dataclass(frozen=True)
class TensorType:
    """An input or output of a signature.

    Attributes:
        dtype: str. `"string"`, `"float32"`, `"int32"` or `"bool"`.
        shape: tuple. Sizes: numbers, or letters as above.
        note: str. What else there is to know, for people.
    """

    dtype: str
    shape: tuple[str | int, ...]
    note: str = ""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]{note}"


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature.

    Attributes:
        description: str. What it answers, in a line.
        inputs: dict. `TensorType`s by name.
        outputs: dict. `TensorType`s by name.
    """

    description: str
    inputs: dict[str, TensorType]
    outputs: dict[str, TensorType]


DEFAULT_SIGNATURE = "serving_default"
# The one that TensorFlow Serving's Classify API may call.
CLASSIFY_API_SIGNATURE = "classify_examples"

_IMAGES = {"image_bytes": TensorType("string", ("N",))}
_EMBEDDING = {"embedding": TensorType("float32", ("N", "D"))}
SIGNATURES = {
    "serving_default": Signature(
        "The best of the exported labels.",
        _IMAGES,
        {
            "labels": TensorType("string", ("N", "k"), "best first"),
            "scores": TensorType("float32", ("N", "k")),
        },
    ),
    "embed_image": Signature(
        "Embeddings of images.",
        _IMAGES,
        {**_EMBEDDING, "norm": TensorType("float32", ("N",), "length before normalization")},
    ),
    "embed_label": Signature(
        "Vectors of labels; zeros for an unknown label.",
        {"labels": TensorType("string", ("N",))},
        {
            **_EMBEDDING,
            "known_tokens": TensorType("int32", ("N",), "words with a vector"),
            "num_tokens": TensorType("int32", ("N",), "words"),
        },
    ),
    "classify": Signature(
        "Scores of the labels in the request; -1 for an unknown one.",
        {**_IMAGES, "labels": TensorType("string", ("1 or N", "M"))},
        {
            "labels": TensorType("string", ("N", "M"), "best first"),
            "scores": TensorType("float32", ("N", "M")),
            "known": TensorType("bool", ("N", "M")),
            "indices": TensorType("int32", ("N", "M"), "positions in the request"),
        },
    ),
    "embed_pixels": Signature(
        "Embeddings of images that are already decoded and cropped.",
        {"pixels": TensorType("float32", ("N", "S", "S", 3), "0 to 255")},
        _EMBEDDING,
    ),
    "classify_examples": Signature(
        "As `serving_default`, for the Classify API.",
        {"inputs": TensorType("string", ("N",), "`tf.Example` with `image/encoded`")},
        {
            "classes": TensorType("string", ("N", "k"), "best first"),
            "scores": TensorType("float32", ("N", "k")),
        },
    ),
}


def signature_table() -> str:
    """The signatures as a table in Markdown."""

    def cell(tensors: dict[str, TensorType]) -> str:
        return "; ".join(f"`{name}` {tensor}" for name, tensor in tensors.items())

    rows = [
        f"| `{name}` | {signature.description} | {cell(signature.inputs)} | {cell(signature.outputs)} |\n"
        for name, signature in SIGNATURES.items()
    ]
    return "".join(["| name | answers | inputs | outputs |\n", "|---|---|---|---|\n", *rows])
