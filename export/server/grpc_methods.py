"""The methods of TF Serving's gRPC services that are served."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from devise_tf.export.server.loaded_version import LoadedVersion
from devise_tf.export.server.model_messages import model_metadata, model_status
from devise_tf.export.server.model_versions import ModelVersions
from devise_tf.export.server.prediction import classify, predict
from devise_tf.export.server.request_error import RequestError, invalid
from devise_tf.export.server.request_gate import RequestGate


class GrpcMethods:
    """PredictionService's Predict, Classify and GetModelMetadata, and ModelService's GetModelStatus.

    gRPC itself answers UNIMPLEMENTED to the other methods.

    Args:
        versions: ModelVersions. The model.
        gate: RequestGate. Admits the requests.
        max_bytes: int. Most memory that an input may take.
    """

    def __init__(self, versions: ModelVersions, gate: RequestGate, max_bytes: int):
        self._versions, self._gate, self._max_bytes = versions, gate, max_bytes

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What a `grpc.Server` takes by `add_generic_rpc_handlers`."""
        prediction = {
            "Predict": self._handler("Predict", predict_pb2.PredictRequest, self._predict),
            "Classify": self._handler("Classify", classification_pb2.ClassificationRequest, self._classify),
            "GetModelMetadata": self._handler(
                "GetModelMetadata", get_model_metadata_pb2.GetModelMetadataRequest, self._metadata, limited=False
            ),
        }
        model = {
            "GetModelStatus": self._handler(
                "GetModelStatus", get_model_status_pb2.GetModelStatusRequest, self._status, limited=False
            )
        }
        return [
            grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", prediction),
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", model),
        ]

    def _handler(
        self, method: str, request_type: type[Message], answer: Callable[[Message], Message], limited: bool = True
    ) -> grpc.RpcMethodHandler:
        # Bytes in and out: gRPC would answer INTERNAL to a request that it cannot parse.
        def handle(body: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                with self._gate.admit("grpc", method, limited):
                    return answer(_parse(request_type, body)).SerializeToString()
            except RequestError as error:
                code, message = grpc.StatusCode[error.code], str(error)
            return context.abort(code, message)  # which raises

        return grpc.unary_unary_rpc_method_handler(handle)

    def _predict(self, request: Any) -> Message:
        with self._acquire(request) as version:
            return predict(version, request, self._max_bytes)

    def _classify(self, request: Any) -> Message:
        with self._acquire(request) as version:
            return classify(version, request)

    def _metadata(self, request: Any) -> Message:
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        with self._acquire(request) as version:
            return model_metadata(self._versions, version)

    def _status(self, request: Any) -> Message:
        return model_status(self._versions, *_model(request))

    def _acquire(self, request: Any) -> AbstractContextManager[LoadedVersion]:
        return self._versions.acquire(*_model(request))


def _parse(request_type: type[Message], body: bytes) -> Message:
    try:
        return request_type.FromString(body)
    except DecodeError:
        raise invalid(f"The request is not a {request_type.DESCRIPTOR.full_name}.") from None


def _model(request: Any) -> tuple[str, int | None, str]:
    """Name, version or None, and label or "" of the model that a request is for."""
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    return spec.name, spec.version.value if spec.HasField("version") else None, spec.version_label
