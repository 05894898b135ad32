"""Checks an exported version as TF Serving would run it: in a process of its own, through a v1 Session.

  python -m devise_tf.export.verify VERSION_DIR [EXPECTED.npz]

What `tf.saved_model.load` runs in Python may still fail in TF Serving at the first request; this finds it.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags
from tensorflow.core.protobuf import saved_model_pb2

import devise_tf
from devise_tf import command
from devise_tf.export.manifest import checksums, import_operations, read_manifest
from devise_tf.export.signatures import SIGNATURES, TensorType
from devise_tf.export.warmup import read_warmup

TOLERANCE = 1e-5
XLA_ATTRIBUTE = "_XlaMustCompile"
# What tokenizers need of TensorFlow Text. Stock TF Serving links those of its version 2.12.
TF_TEXT_OPERATIONS = (
    "CaseFoldUTF8",
    "SentencepieceOp",
    "SentencepieceTokenizeOp",
    "UnicodeScriptTokenizeWithOffsets",
)


class VerificationError(RuntimeError):
    """An exported version is not what it should be."""


def verify_in_fresh_process(version_dir: str, expected: str | None = None) -> None:
    """Runs `verify` in a fresh process.

    Args:
        version_dir: str. The version's directory, local.
        expected: str. File of the outputs that the warm-up requests must give; see `verify`.

    Raises:
        VerificationError: The version is not as it should be; the message is the process's.
    """
    # An uninstalled checkout is found from where this process found it.
    paths = [os.path.dirname(os.path.dirname(os.path.abspath(devise_tf.__file__))), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    check = [sys.executable, "-m", "devise_tf.export.verify", version_dir, *([expected] if expected else [])]
    process = subprocess.run(check, capture_output=True, text=True, env=environment, check=False)
    if process.returncode:
        errors = [line for line in process.stderr.splitlines() if line.startswith("Error: ")]
        crash = f"The process that checks it ended with status {process.returncode}: {process.stderr[-2000:]}"
        raise VerificationError(errors[-1].removeprefix("Error: ") if errors else crash)


def verify(version_dir: str, expected: str | None = None) -> int:
    """Checks the files, loads the version into a v1 Session, and replays its warm-up requests.

    Args:
        version_dir: str. The version's directory, local.
        expected: str. `.npz` file of arrays named `RECORD/OUTPUT`; floats must agree within 1e-5, others exactly.

    Returns:
        The number of requests that were replayed.

    Raises:
        VerificationError: Something is not as it should be; the message names it.
    """
    manifest = read_manifest(version_dir)
    if (files := checksums(version_dir)) != manifest["files"]:
        different = sorted(n for n in {*files, *manifest["files"]} if files.get(n) != manifest["files"].get(n))
        raise VerificationError(f"Files differ from the manifest's checksums. Received: {different}")
    records = read_warmup(version_dir)
    if len(records) != manifest["warmup_records"]:
        raise VerificationError(f"Warm-up should have {manifest['warmup_records']} records. Received: {len(records)}")
    expected_outputs = dict(np.load(expected, allow_pickle=False)) if expected else {}
    _check_operations(version_dir)
    import_operations(version_dir)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = _load(session, version_dir)
        for number, record in enumerate(records):
            name, inputs = _request(record)
            for output, value in _run(session, name, signatures[name], inputs).items():
                key = f"{number}/{output}"
                _compare(f"{name}: {key}", value, expected_outputs.pop(key, None))
    if expected_outputs:
        raise VerificationError(f"Expected outputs have no request. Received: {sorted(expected_outputs)}")
    return len(records)


def _check_operations(version_dir: str) -> None:
    """Raises an error unless stock TF Serving has all operations that a version's graph needs."""
    with open(os.path.join(version_dir, "saved_model.pb"), "rb") as file:
        graph = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs[0].graph_def
    nodes = itertools.chain(graph.node, *(function.node_def for function in graph.library.function))
    known = {*dir(tf.raw_ops), *TF_TEXT_OPERATIONS, *(function.signature.name for function in graph.library.function)}
    if others := sorted({node.op for node in nodes} - known):
        raise VerificationError(
            "It needs operations that stock TF Serving does not have: that has those of TensorFlow itself and of "
            f"TensorFlow Text 2.12. Received: {others}"
        )


def _load(session: Any, version_dir: str) -> dict[str, Any]:
    """Loads the version as TF Serving does, and gives its `SignatureDef`s by name."""
    try:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], version_dir)
    except (tf.errors.OpError, ValueError) as error:
        raise VerificationError(f"TF Serving could not load it: {error}") from error
    if any(function.attr[XLA_ATTRIBUTE].b for function in meta.graph_def.library.function):
        raise VerificationError("It needs XLA, which stock TF Serving has switched off on CPUs.")
    signatures = {name: meta.signature_def[name] for name in meta.signature_def if not name.startswith("__")}
    expected = {name: (_types(s.inputs), _types(s.outputs)) for name, s in SIGNATURES.items()}
    received = {name: (_stored_types(s.inputs), _stored_types(s.outputs)) for name, s in signatures.items()}
    if received != expected:
        raise VerificationError(f"The signatures must be {expected}. Received: {received}")
    return signatures


def _types(tensors: Mapping[str, TensorType]) -> dict[str, tuple[str, int]]:
    """Type and rank by name."""
    return {name: (tensor.dtype, len(tensor.shape)) for name, tensor in tensors.items()}


def _stored_types(tensors: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Type and rank by name, as a SavedModel has them."""
    return {name: (tf.as_dtype(info.dtype).name, len(info.tensor_shape.dim)) for name, info in tensors.items()}


def _request(record: Any) -> tuple[str, dict[str, np.ndarray]]:
    """The name of the signature that a `PredictionLog` calls, and its inputs by name."""
    if record.HasField("predict_log"):
        request = record.predict_log.request
        return request.model_spec.signature_name, {n: tf.make_ndarray(value) for n, value in request.inputs.items()}
    request = record.classify_log.request
    examples = [example.SerializeToString() for example in request.input.example_list.examples]
    return request.model_spec.signature_name, {"inputs": np.array(examples, object)}


def _run(session: Any, name: str, signature: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    feed = {signature.inputs[key].name: value for key, value in inputs.items()}
    try:
        return session.run({output: info.name for output, info in signature.outputs.items()}, feed)
    except tf.errors.OpError as error:
        raise VerificationError(f"{name} cannot be run as TF Serving would: {error}") from error


def _compare(key: str, value: np.ndarray, expected: np.ndarray | None) -> None:
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise VerificationError(f"{key} has values that are not finite, such as NaN.")
    if expected is None:
        return
    if value.shape != expected.shape:
        raise VerificationError(f"{key} should have the shape {expected.shape}. Received: {value.shape}")
    if value.dtype.kind == "f":
        difference = float(np.max(np.abs(value - expected), initial=0.0))
        if difference > TOLERANCE:
            raise VerificationError(f"{key} differs from the model's own output by {difference}")
    elif value.tolist() != expected.tolist():
        raise VerificationError(f"{key} should be {expected}. Received: {value}")


def main(arguments: list[str], _: flags.FlagValues) -> None:
    if not 1 <= len(arguments) <= 2:
        raise command.UsageError("Name the version's directory; --help shows how.")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        count = verify(*arguments)
    except (VerificationError, OSError, ValueError, KeyError) as error:
        raise VerificationError(" ".join(str(error).split())) from error
    print(f"{arguments[0]}: {count} requests answered as they should be.")


def run(argv: list[str] | None = None) -> int:
    return command.run(main, lambda define: None, __doc__, argv, accepts="arguments")


if __name__ == "__main__":
    sys.exit(run())
