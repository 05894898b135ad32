"""One version of a model in memory."""

import dataclasses
import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

from devise_tf.export.server.request_error import RequestError, from_tensorflow, invalid
from devise_tf.export.server.tensors import NUMPY_TYPES, dtype_name

_MAX_CALLABLES = 64
# What each of TF Serving's interfaces says of a signature that a model lacks.
_NO_SIGNATURE = {
    "predict": ("FAILED_PRECONDITION", 'Serving signature key "{}" not found.'),
    "classify": ("INVALID_ARGUMENT", "No signature was found with the name: {}"),
    "rest": ("INVALID_ARGUMENT", 'Serving signature name: "{}" not found in signature def'),
}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A named input or output: the graph's name, `DataType`, and shape (None: any size; None as a whole: any rank)."""

    name: str
    dtype: int
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name, in the order of their names."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class LoadedVersion:
    """A SavedModel in a v1 Session, which is how TF Serving loads it: what runs here runs there.

    `tf.saved_model.load` is more lenient; models that only it can run are found out here.

    Args:
        path: str. Directory of the version, local or one that `tf.io.gfile` reaches.
        number: int. The version.

    Attributes:
        number: int. The version.
        path: str. Directory of the version.
        signatures: dict. The `Signature`s that can be run, by name.
        signature_defs: dict. All `SignatureDef`s as they are stored, by name.
        users: int. Number of requests that are using it; counted by `ModelVersions`.

    Raises:
        OSError, ValueError, RuntimeError, tf.errors.OpError: What TensorFlow raises for a model that it cannot load.
    """

    def __init__(self, path: str, number: int):
        self.number, self.path, self.users = number, path, 0
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        self._callables: dict[tuple[int, tuple[str, ...]], Any] = {}
        try:
            meta_graph = _load(self._session, path)
        except BaseException:
            self._session.close()
            raise
        self.signature_defs: dict[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
        # The initialization that TensorFlow 2 stores beside the signatures has an output without a type.
        self.signatures = {
            name: Signature(_tensors(stored.inputs), _tensors(stored.outputs))
            for name, stored in self.signature_defs.items()
            if all(output.dtype != types_pb2.DT_INVALID for output in stored.outputs.values())
        }

    def signature(self, name: str, interface: str) -> Signature:
        """The signature of a name.

        Raises:
            RequestError: There is none; as TF Serving's `interface`, `"predict"`, `"classify"` or `"rest"`, says it.
        """
        if name not in self.signatures:
            code, message = _NO_SIGNATURE[interface]
            raise RequestError(code, message.format(name))
        return self.signatures[name]

    def run(
        self, signature: Signature, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Runs a signature; any number of threads may.

        Args:
            signature: Signature. One of `signatures`.
            inputs: dict. Arrays by name, all that the signature has.
            outputs: list of str. Names of the outputs to compute; all by default.

        Returns:
            Arrays by name; strings are `bytes` in object arrays.

        Raises:
            RequestError: INVALID_ARGUMENT where the inputs do not fit, else the code of the session's error.
        """
        check_input_names(signature, inputs.keys())
        for name, tensor in signature.inputs.items():
            _check_input(name, tensor, inputs[name])
        names = tuple(outputs) or tuple(signature.outputs)
        try:
            return self._run(signature, inputs, names)
        except RequestError as error:
            raise self._with_index(inputs, error) from None

    def _run(
        self, signature: Signature, inputs: Mapping[str, np.ndarray], names: tuple[str, ...]
    ) -> dict[str, np.ndarray]:
        try:
            values = self._callable(signature, names)(*(inputs[name] for name in signature.inputs))
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            raise from_tensorflow(error) from None
        return dict(zip(names, values, strict=True))

    def _with_index(self, inputs: Mapping[str, np.ndarray], error: RequestError) -> RequestError:
        """The error of the first of several images that fails alone, with its index; else the error as it is."""
        images, alone = inputs.get("image_bytes"), self.signatures.get("embed_image")
        if error.code != "INVALID_ARGUMENT" or images is None or len(images) < 2 or alone is None:
            return error

        def refusal(first: int, last: int) -> RequestError | None:
            try:
                self._run(alone, {"image_bytes": images[first:last]}, ("norm",))
            except RequestError as error:
                return error
            return None

        first, last = 0, len(images)
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (first, middle) if refusal(first, middle) else (middle, last)
        cause = refusal(first, last)
        return error if cause is None else RequestError(cause.code, f"image_bytes[{first}]: {cause}")

    def _callable(self, signature: Signature, outputs: tuple[str, ...]) -> Any:
        key = (id(signature), outputs)
        run = self._callables.get(key)
        if run is None:
            options = config_pb2.CallableOptions()
            options.feed.extend(tensor.name for tensor in signature.inputs.values())
            options.fetch.extend(signature.outputs[name].name for name in outputs)
            if len(self._callables) >= _MAX_CALLABLES:  # clients choose the outputs
                self._callables.clear()
            # `make_callable` and `run` look every feed and fetch up again, in Python, for as long as a small network
            # takes; and they add lines of Python to the errors.
            run = self._callables[key] = self._session._make_callable_from_options(options)
        return run

    def close(self) -> None:
        """Frees what the version holds. Nothing may be running."""
        self._callables.clear()
        self._session.close()


def check_input_names(signature: Signature, names: Iterable[str]) -> None:
    """Raises INVALID_ARGUMENT, in TF Serving's words, unless a request has the signature's inputs."""
    expected, received = signature.inputs.keys(), set(names)
    if received != expected:
        raise invalid(
            f"input size does not match signature: {len(received)}!={len(expected)} len({_set(received)}) != "
            f"len({_set(expected)}). Sent extra: {_set(received - expected)}. "
            f"Missing but required: {_set(expected - received)}."
        )


def _tensors(stored: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: Tensor(
            info.name,
            info.dtype,
            None
            if info.tensor_shape.unknown_rank
            else tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim),
        )
        for name, info in sorted(stored.items())
    }


def _check_input(name: str, tensor: Tensor, array: np.ndarray) -> None:
    if array.dtype != NUMPY_TYPES.get(tensor.dtype):
        raise invalid(f"Expects {name} to be {dtype_name(tensor.dtype)} but {_type_name(array)} is provided")
    if tensor.shape is None:
        return
    pairs = zip(tensor.shape, array.shape, strict=False)
    if len(tensor.shape) != array.ndim or any(size not in (None, actual) for size, actual in pairs):
        shape = ",".join("?" if size is None else str(size) for size in tensor.shape)
        raise invalid(f"Expects {name} to have the shape [{shape}]. Received: {list(array.shape)}")


def _type_name(array: np.ndarray) -> str:
    return "string" if array.dtype == object else dtype_name(tf.as_dtype(array.dtype).as_datatype_enum)


def _set(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _load(session: Any, path: str) -> meta_graph_pb2.MetaGraphDef:
    try:
        return tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], path)
    except (tf.errors.NotFoundError, ValueError) as error:
        if "Op type not registered" not in str(error):
            raise
        # TF Serving has the operations of TensorFlow Text, and so has this server where that is installed.
        try:
            importlib.import_module("tensorflow_text")
        except ImportError:
            raise error from None
        return tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], path)
