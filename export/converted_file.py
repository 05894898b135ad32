"""LiteRT and ONNX files of a model: what they need installed, and how to run one."""

import importlib.util
import os
from collections.abc import Callable

import numpy as np

SIGNATURE = "embed_pixels"
# What writing a file needs, beside TensorFlow; the last of each is the runtime.
LITERT = ("ai_edge_litert",)
ONNX = ("tf2onnx", "onnx", "onnxruntime")
_LITERT_MAGIC = b"TFL3"  # at byte 4


def check_packages(*names: str) -> None:
    """Raises a `ModuleNotFoundError` that says what to install where one of these modules is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"LiteRT and ONNX files need {', '.join(names)}: pip install 'devise_tf[convert]'. "
            f"Received: no {', '.join(missing)}"
        )


def load_converted(path: str | os.PathLike, threads: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Loads a LiteRT or ONNX file; its content tells which it is. TensorFlow is not needed.

    Args:
        path: str. The file.
        threads: int. Threads of a call; by default the runtime chooses.

    Returns:
        A function from pixels, float32 [N, S, S, 3] with N at least 1, to embeddings, float32 [N, D]; to be called by
        one thread at a time.

    Raises:
        ModuleNotFoundError: The runtime, ai_edge_litert or onnxruntime, is not installed.
        OSError: The file cannot be read.
        ValueError: The file is neither, or damaged.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        load = _load_litert if file.read(8)[4:] == _LITERT_MAGIC else _load_onnx
    return load(path, threads)


def _load_litert(path: str, threads: int | None) -> Callable[[np.ndarray], np.ndarray]:
    check_packages(*LITERT[-1:])
    from ai_edge_litert.interpreter import Interpreter

    try:
        runner = Interpreter(path, num_threads=threads).get_signature_runner(SIGNATURE)
    except (ValueError, RuntimeError) as error:
        raise _damaged(path, error) from error
    return lambda pixels: runner(pixels=pixels)["embedding"]


def _load_onnx(path: str, threads: int | None) -> Callable[[np.ndarray], np.ndarray]:
    check_packages(*ONNX[-1:])
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's classes of errors are not public, and have no common base
        raise _damaged(path, error) from error
    return lambda pixels: session.run(["embedding"], {"pixels": pixels})[0]


def _damaged(path: str, error: Exception) -> ValueError:
    return ValueError(f"This is not a LiteRT or ONNX file, or it is damaged. Received: {path}: {one_line(error)}")


def one_line(error: Exception) -> str:
    """The beginning of an error's text, for the end of another's."""
    return " ".join(str(error).split())[:300]
