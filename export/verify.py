"""Checks an exported version as TF Serving would run it: in a process of its own, through a v1 Session.

  python -m devise_tf.export.verify VERSION_DIR [EXPECTED.npz]

What `tf.saved_model.load` runs in Python may still fail in TF Serving at the first request; this finds it.
"""

import os
import subprocess
import sys

import numpy as np

from devise_tf.export.manifest import checksums, read_manifest

TOLERANCE = 1e-5
XLA_ATTRIBUTE = "_XlaMustCompile"
SIGNATURES = {
    "serving_default": (["image_bytes"], ["labels", "scores"]),
    "embed_image": (["image_bytes"], ["embedding", "norm"]),
    "embed_label": (["labels"], ["embedding", "known_tokens", "num_tokens"]),
    "classify": (["image_bytes", "labels"], ["indices", "known", "labels", "scores"]),
    "embed_pixels": (["pixels"], ["embedding"]),
    "classify_examples": (["inputs"], ["classes", "scores"]),
}


class VerificationError(RuntimeError):
    """An exported version is not what it should be."""


def verify_in_fresh_process(version_dir: str, expected: str | None = None) -> None:
    """Runs `verify` in a process that has nothing of this one.

    Args:
        version_dir: The version's directory, local.
        expected: File of the outputs that its warm-up requests must give, see `verify`.

    Raises:
        VerificationError: With what the process said.
    """
    import devise_tf

    # An uninstalled checkout is found from where this process found it.
    paths = [os.path.dirname(os.path.dirname(os.path.abspath(devise_tf.__file__))), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-m", "devise_tf.export.verify", version_dir, *([expected] if expected else [])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        ended = f"The process that checks it ended with {done.returncode}: {done.stderr[-2000:]}"
        raise VerificationError(said[-1].removeprefix("Error: ") if said else ended)


def verify(version_dir: str, expected: str | None = None) -> int:
    """Checks the files, loads the version into a v1 Session, and replays its warm-up requests.

    Args:
        version_dir: The version's directory, local.
        expected: `.npz` file of arrays named `RECORD/OUTPUT`; floats must agree within 1e-5, others exactly.

    Returns:
        The number of requests that were replayed.

    Raises:
        VerificationError: Something is not as it should be; it is named.
    """
    import tensorflow as tf

    from devise_tf.export.warmup import read_warmup

    manifest = read_manifest(version_dir)
    if (found := checksums(version_dir)) != manifest["files"]:
        different = sorted(n for n in {*found, *manifest["files"]} if found.get(n) != manifest["files"].get(n))
        raise VerificationError(f"Files differ from the manifest's checksums. Received: {different}")
    records = read_warmup(version_dir)
    if len(records) != manifest["warmup_records"]:
        raise VerificationError(f"Warm-up should have {manifest['warmup_records']} records. Received: {len(records)}")
    wanted = dict(np.load(expected, allow_pickle=False)) if expected else {}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            meta = tf.compat.v1.saved_model.load(session, ["serve"], version_dir)
        except (tf.errors.OpError, ValueError) as error:
            raise VerificationError(f"TF Serving could not load it: {error}") from error
        if any(function.attr[XLA_ATTRIBUTE].b for function in meta.graph_def.library.function):
            raise VerificationError("It needs XLA, which stock TF Serving has switched off on CPUs.")
        signatures = {name: meta.signature_def[name] for name in meta.signature_def if not name.startswith("__")}
        names = {name: (sorted(s.inputs), sorted(s.outputs)) for name, s in signatures.items()}
        if names != {name: (sorted(i), sorted(o)) for name, (i, o) in SIGNATURES.items()}:
            raise VerificationError(f"The signatures must be {SIGNATURES}. Received: {names}")
        for number, record in enumerate(records):
            name, inputs = _request(record)
            signature = signatures[name]
            feed = {signature.inputs[i].name: value for i, value in inputs.items()}
            try:
                outputs = session.run({o: info.name for o, info in signature.outputs.items()}, feed)
            except tf.errors.OpError as error:
                raise VerificationError(f"{name} cannot be run as TF Serving would: {error}") from error
            for output, value in outputs.items():
                _compare(f"{number}/{output}", name, value, wanted)
    missed = [key for key in wanted if int(key.split("/")[0]) >= len(records)]
    if missed:
        raise VerificationError(f"Expected outputs have no request. Received: {missed}")
    return len(records)


def _request(record):
    import tensorflow as tf

    if record.HasField("predict_log"):
        request = record.predict_log.request
        return request.model_spec.signature_name, {n: tf.make_ndarray(value) for n, value in request.inputs.items()}
    request = record.classify_log.request
    examples = [example.SerializeToString() for example in request.input.example_list.examples]
    return request.model_spec.signature_name, {"inputs": np.array(examples, object)}


def _compare(key, signature, value, wanted):
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise VerificationError(f"{signature} gives values that are not finite. Received: {key}")
    if key not in wanted:
        return
    expected = wanted[key]
    if value.shape != expected.shape:
        raise VerificationError(f"{signature}: {key} should have the shape {expected.shape}. Received: {value.shape}")
    if value.dtype.kind == "f":
        difference = float(np.max(np.abs(value - expected), initial=0.0))
        if difference > TOLERANCE:
            raise VerificationError(f"{signature}: {key} differs from the model's own by {difference}")
    elif value.tolist() != expected.tolist():
        raise VerificationError(f"{signature}: {key} should be {expected}. Received: {value}")


def main(arguments: list[str]) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if not 1 <= len(arguments) <= 2:
        sys.exit("Error: usage: python -m devise_tf.export.verify VERSION_DIR [EXPECTED.npz]")
    try:
        count = verify(*arguments)
    except (VerificationError, OSError, ValueError, KeyError) as error:
        sys.exit(f"Error: {' '.join(str(error).split())}")
    print(f"{arguments[0]}: {count} requests answered as they should be.")


if __name__ == "__main__":
    main(sys.argv[1:])
