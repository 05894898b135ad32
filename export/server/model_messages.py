"""What the server says of its model, as protocol messages."""

from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from devise_tf.export.server.loaded_version import LoadedVersion
from devise_tf.export.server.model_versions import ModelVersions
from devise_tf.export.server.request_error import RequestError, invalid


def model_status(
    versions: ModelVersions, name: str, number: int | None = None, label: str = ""
) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of all versions, the newest first, or of one.

    Raises:
        RequestError: NOT_FOUND, there is no such model or version; INVALID_ARGUMENT, there are no labels.
    """
    if label:
        raise invalid(f"Unrecognized servable version label: {label}")
    statuses = versions.statuses(number) if name == versions.name else []
    if not statuses:
        of = "any versions" if number is None else f"version {number}"
        raise RequestError("NOT_FOUND", f"Could not find {of} of model {name}")
    return get_model_status_pb2.GetModelStatusResponse(
        model_version_status=[
            {
                "version": status.number,
                "state": status.state,
                "status": {"error_code": status.code, "error_message": status.message},
            }
            for status in statuses
        ]
    )


def model_metadata(versions: ModelVersions, version: LoadedVersion) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = versions.name
    response.model_spec.version.value = version.number
    response.metadata["signature_def"].Pack(_signature_map(version))
    return response


def metadata_json(response: get_model_metadata_pb2.GetModelMetadataResponse, version: LoadedVersion) -> str:
    """`model_metadata` as TF Serving's REST interface gives it, which leaves out what kind of message the map is."""
    spec, signatures = to_json(response.model_spec), to_json(_signature_map(version))
    return f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {signatures}}}\n}}\n'


def _signature_map(version: LoadedVersion) -> get_model_metadata_pb2.SignatureDefMap:
    return get_model_metadata_pb2.SignatureDefMap(signature_def=version.signature_defs)


def to_json(message: Message) -> str:
    """A message as TF Serving's REST interface gives it."""
    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True, indent=1
    )
