"""Requests over gRPC. Needs the packages `grpcio` and `tensorflow-serving-api`, whose messages import TensorFlow."""

import math
import time
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from devise_tf.export.client import attempts
from devise_tf.export.client.attempts import Failure, address

# The limit of TF Serving's own gRPC port; gRPC's default is 4 MB.
_MAX_MESSAGE_BYTES = 2**31 - 1
_TRANSIENT_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


class GrpcTransport:
    """Asks a server over gRPC; see `ServingClient`."""

    def __init__(self, host: str, port: int, model_name: str, version: int | None):
        self._model = predict_pb2.PredictRequest().model_spec
        self._model.name = model_name
        if version is not None:
            self._model.version.value = version
        options = {
            "grpc.max_send_message_length": _MAX_MESSAGE_BYTES,
            "grpc.max_receive_message_length": _MAX_MESSAGE_BYTES,
            "grpc.enable_http_proxy": 0,
            # A server that was not there is looked for again as soon as a request is repeated.
            "grpc.initial_reconnect_backoff_ms": int(attempts.FIRST_DELAY * 500),
            "grpc.max_reconnect_backoff_ms": int(attempts.MAX_DELAY * 1000),
        }
        self._channel = grpc.insecure_channel(address(host, port), options=list(options.items()))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def predict(self, signature: str, inputs: Mapping[str, list[Any]], deadline: float) -> dict[str, np.ndarray]:
        """Asks once, until `time.monotonic()` is `deadline`; strings come as `str`.

        Raises:
            Failure: There was no answer, or an error.
        """
        request = predict_pb2.PredictRequest(model_spec=self._model)
        request.model_spec.signature_name = signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(_strings(values))
        try:
            response = self._stub.Predict(request, timeout=max(deadline - time.monotonic(), 0.001))
        except grpc.RpcError as error:
            code = error.code().name
            raise Failure(code, error.details() or code, code in _TRANSIENT_CODES) from error
        try:
            return {name: _array(tensor) for name, tensor in response.outputs.items()}
        except (KeyError, ValueError) as error:
            raise Failure("DATA_LOSS", f"a tensor that cannot be read: {error!r}") from error

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def _strings(values: list[Any]) -> Any:
    shape = [len(values)]
    if isinstance(values[0], list):
        shape.append(len(values[0]))
        values = [value for row in values for value in row]
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.string_val.extend(value.encode() if isinstance(value, str) else value for value in values)
    return tensor


def _array(tensor: Any) -> np.ndarray:
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.dtype == types_pb2.DT_STRING:
        values = np.array([value.decode("utf-8", "replace") for value in tensor.string_val], object)
    else:
        dtype, field = {
            types_pb2.DT_FLOAT: (np.float32, "float_val"),
            types_pb2.DT_INT32: (np.int32, "int_val"),
            types_pb2.DT_BOOL: (np.bool_, "bool_val"),
        }[tensor.dtype]
        if tensor.tensor_content:
            return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
        values = np.array(getattr(tensor, field), dtype)
    # Values that are left out equal the last one.
    return np.pad(values, (0, math.prod(shape) - len(values)), "edge").reshape(shape)
