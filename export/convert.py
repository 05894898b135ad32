"""Files for devices without TensorFlow: LiteRT and ONNX, from the signature `embed_pixels` of an exported version.

Both take `pixels`, float32 [N, S, S, 3] in 0..255, and give `embedding`, float32 [N, D], as the signature does; N is at
least 1 and free (LiteRT's interpreter is resized to it, its `get_signature_runner` does so by itself). Images are
decoded and cropped by the caller, and compared with label vectors there too: none of that is in the files.
"""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from devise_tf.export.converted_file import LITERT, ONNX, SIGNATURE, check_packages, load_converted, one_line
from devise_tf.export.manifest import import_operations
from devise_tf.export.publish import newest_version
from devise_tf.export.sample_pixels import sample_pixels
from devise_tf.files import atomic_path
from devise_tf.images import open_images

# Largest difference between an embedding of a float32 file and the SavedModel's, in any component.
TOLERANCE = 1e-3
# Least mean cosine between the embeddings of an int8 file and the SavedModel's. Eight bits cost about 0.001.
INT8_COSINE = 0.95
_COMPILED = ("_XlaMustCompile", "_noinline")
_MOST_CHECKED = 64
_NUM_REPRESENTATIVE = 200


def convert_newest(
    export_dir: str, files: Mapping[str, str], representative: str = ""
) -> Iterator[tuple[str, dict[str, float]]]:
    """Converts the newest version under a base path.

    Args:
        export_dir: str. The base path.
        files: dict. The files to write, by form: `"litert"`, `"int8"`, `"onnx"`.
        representative: str. Name of the image source of which `"int8"` takes 200, see `open_images`.

    Yields:
        Pairs of a file's path and `compare`'s figures.
    """
    version = newest_version(export_dir)
    for form, path in files.items():
        if form == "onnx":
            yield path, to_onnx(version, path)
        elif form == "litert":
            yield path, to_litert(version, path)
        else:
            batches = sample_pixels(open_images(representative, "train"), _NUM_REPRESENTATIVE, version)
            yield path, to_litert(version, path, [image for pixels, _ in batches for image in pixels])


def to_litert(
    version_dir: str, path: str | os.PathLike, representative: Iterable[np.ndarray] | None = None
) -> dict[str, float]:
    """Writes a LiteRT (TensorFlow Lite) file with the signature `embed_pixels`, and checks it before it appears.

    With `representative` all operations that have integer kernels compute in int8, with a scale for each channel of a
    weight and each activation, which is taken from the images; input and output stay float32. The file is about a
    quarter of the size. Embeddings are then of unit norm only to a few per cent, which scales an image's scores and
    keeps their order. AlexNet's local response normalization has no such kernel and stays in float32.

    Args:
        version_dir: str. Directory of an exported version.
        path: str. The file to write, atomically; usually `.tflite`.
        representative: iterable of float32 [S, S, 3] in 0..255. Images like those to come, a hundred or more; values
            outside the ranges that occur in them are cut off. All are held in memory. None for a float32 file.

    Returns:
        `compare`'s, over pixels that are made up or, for int8, over the first 64 representative images.

    Raises:
        ModuleNotFoundError: LiteRT's interpreter is not installed.
        ValueError: The directory holds no usable version, an image is not as above, the converter refuses the model, or
            the file's embeddings are not the SavedModel's: by more than 0.001 in a component, or for int8 a mean cosine
            below 0.95.
        OSError: The file cannot be written. In all these cases what was there before is left as it was.
    """
    check_packages(*LITERT)
    loaded, size = _load(version_dir)
    function = _network(loaded)
    images = None if representative is None else _checked_images(representative, size)
    with tempfile.TemporaryDirectory(prefix="devise_tf-convert-") as directory:
        # The other signatures work on strings, and their tables and vectors have no part in this.
        alone = tf.Module()
        alone.weights = list(function.variables)
        tf.saved_model.save(alone, directory, signatures={SIGNATURE: function})
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[SIGNATURE])
        if images is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ({"pixels": image[np.newaxis]} for image in images)
            # With the float32 kernels for what has no other.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            with _quiet():
                content = converter.convert()
        except Exception as error:  # the converter's classes of errors are not public
            raise ValueError(f"LiteRT cannot run this model. Received: {one_line(error)}") from error
    return _write(path, content, loaded, size, images)


def to_onnx(version_dir: str, path: str | os.PathLike) -> dict[str, float]:
    """Writes a float32 ONNX file, opset 15, and checks it before it appears.

    Args:
        version_dir: Directory of an exported version.
        path: The file to write, atomically; by custom `.onnx`.

    Returns:
        `compare`'s, over pixels that are made up.

    Raises:
        ModuleNotFoundError: tf2onnx, onnx or onnxruntime is not installed.
        ValueError: The directory holds no usable version, the converter refuses the model, or the file's embeddings
            are not the SavedModel's, by more than 0.001 in a component.
        OSError: The file cannot be written. In all these cases what was there before is left as it was.
    """
    check_packages(*ONNX)
    import onnx
    import tf2onnx

    loaded, size = _load(version_dir)
    with _quiet():
        frozen = convert_variables_to_constants_v2(_network(loaded))
    graph = frozen.graph.as_graph_def()
    # Keras has grouped convolutions compiled by XLA, and what must be compiled stays a call, which ONNX does not have.
    library = graph.library.function
    for each in (*library, *graph.node, *(node for function in library for node in function.node_def)):
        for attribute in _COMPILED:
            each.attr.pop(attribute, None)
    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs))
    try:
        with _quiet():
            model, _ = tf2onnx.convert.from_graph_def(
                graph,
                name=SIGNATURE,
                input_names=inputs,
                output_names=outputs,
                opset=15,
                tensors_to_rename={inputs[0]: "pixels", outputs[0]: "embedding"},
            )
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
        # tf2onnx leaves operations that ONNX does not have as they are.
        onnx.checker.check_model(model)
    except Exception as error:  # the converter has no classes of errors
        raise ValueError(f"ONNX cannot run this model. Received: {one_line(error)}") from error
    return _write(path, model.SerializeToString(), loaded, size)


def compare(path: str | os.PathLike, version_dir: str, pixels: np.ndarray) -> dict[str, float]:
    """Runs a converted file and the SavedModel on the same pixels, in one batch, on the CPU.

    Args:
        path: str. A LiteRT or ONNX file.
        version_dir: str. The version that it was made from.
        pixels: float32 [N, S, S, 3] in 0..255, N at least 1. The images.

    Returns:
        `{"max_difference": largest absolute difference between components of the embeddings, "mean_cosine": mean cosine
        between them, "bytes": size of the file}`.

    Raises:
        ModuleNotFoundError, OSError, ValueError: See `load_converted`; or the version or the pixels are not as above.
    """
    loaded, size = _load(version_dir)
    pixels = np.asarray(pixels, np.float32)
    if pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3) or not len(pixels):
        raise ValueError(f"`pixels` must have the shape [N >= 1, {size}, {size}, 3]. Received: {pixels.shape}")
    return _compare(os.fspath(path), loaded, pixels)


def _load(version_dir: str | os.PathLike) -> tuple[Any, int]:
    """A version, loaded on the CPU, and the side of its pixels."""
    try:
        # Convolutions on a GPU may round to fewer bits than the tolerance.
        with tf.device("CPU:0"):
            import_operations(os.fspath(version_dir))
            loaded = tf.saved_model.load(os.fspath(version_dir))
    except Exception as error:  # damage leads to almost any
        raise ValueError(
            "This directory does not hold an exported version, or it is damaged. Received: "
            f"{version_dir}: {one_line(error)}"
        ) from error
    signatures = dict(getattr(loaded, "signatures", {}))
    if SIGNATURE not in signatures or not hasattr(loaded, "embed"):
        raise ValueError(
            f"An exported version must have a signature `{SIGNATURE}` and a function `embed`; export it again. "
            f"Received: {version_dir}, with the signatures {sorted(signatures)}"
        )
    return loaded, signatures[SIGNATURE].structured_input_signature[1]["pixels"].shape[1]


def _network(loaded: Any) -> Any:
    """What the signature computes, as a concrete function without the branch for no images at all."""
    signature = loaded.embed.input_signature
    embed = tf.function(lambda pixels: {"embedding": loaded.embed(pixels)}, signature, autograph=False)
    return embed.get_concrete_function()


def _checked_images(representative: Iterable[np.ndarray], size: int) -> list[np.ndarray]:
    images = [np.asarray(image) for image in representative]
    for number, image in enumerate(images):
        good = image.shape == (size, size, 3) and image.dtype.kind in "fu"
        # Resizing rounds a little beyond; NaN is neither.
        if not good or not (image.min() >= -0.01 and image.max() <= 255.01):
            raise ValueError(
                f"Representative images must be pixels [{size}, {size}, 3] in 0..255. Received: number {number} of "
                f"shape {image.shape}, {image.dtype}{f', {image.min()} to {image.max()}' if good else ''}"
            )
    if not images:
        raise ValueError("int8 needs representative images, a hundred or more. Received: none")
    return [image.astype(np.float32) for image in images]


def _made_up_pixels(size: int) -> np.ndarray:
    """float32 [5, S, S, 3]: noise, black, grey and white."""
    noise = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3))
    flat = np.broadcast_to(np.reshape([0.0, 127.5, 255.0], (3, 1, 1, 1)), (3, size, size, 3))
    return np.concatenate([noise, flat]).astype(np.float32)


def _write(
    path: str | os.PathLike, content: bytes, loaded: Any, size: int, images: Sequence[np.ndarray] | None = None
) -> dict[str, float]:
    """Writes the file once its embeddings are the version's, in a batch and one by one."""
    path = os.path.expanduser(os.fspath(path))
    pixels = _made_up_pixels(size) if images is None else np.stack(images[:_MOST_CHECKED])
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(content)
        for batch in (pixels[:1], pixels):
            result = _compare(temporary, loaded, batch)
            # So that NaN is no agreement.
            if images is None and not result["max_difference"] <= TOLERANCE:
                raise ValueError(
                    f"The converted model's embeddings are not the SavedModel's: they differ by more than {TOLERANCE}. "
                    f"Received: {result['max_difference']:.3g} in a batch of {len(batch)}, for {path}"
                )
        if images is not None and not result["mean_cosine"] >= INT8_COSINE:
            raise ValueError(
                f"int8 changes the embeddings too much: their mean cosine to the SavedModel's is below {INT8_COSINE}. "
                "Give more, and more different representative images, or stay with float32. "
                f"Received: {result['mean_cosine']:.3f} over {len(pixels)} images, for {path}"
            )
    return result


def _compare(path: str, loaded: Any, pixels: np.ndarray) -> dict[str, float]:
    received = load_converted(path)(pixels).astype(np.float64)
    with tf.device("CPU:0"):
        expected = loaded.signatures[SIGNATURE](pixels=tf.constant(pixels))["embedding"].numpy().astype(np.float64)
    if received.shape != expected.shape:
        raise ValueError(
            f"The converted model's embeddings should have the shape {expected.shape}. Received: {received.shape}"
        )
    norms = np.linalg.norm(received, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = np.sum(received * expected, axis=1) / np.maximum(norms, np.finfo(np.float32).tiny)
    return {
        "max_difference": float(np.max(np.abs(received - expected))),
        "mean_cosine": float(np.mean(cosines)),
        "bytes": os.path.getsize(path),
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the warnings about old parts of TensorFlow that the converters use."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated", UserWarning)
            yield
    finally:
        logger.setLevel(level)
