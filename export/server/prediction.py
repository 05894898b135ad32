"""Predict and classify requests as protocol messages, answered by a loaded version."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_log_pb2

from devise_tf.export.server.loaded_version import LoadedVersion, Signature, check_input_names
from devise_tf.export.server.request_error import RequestError, invalid, shorten
from devise_tf.export.server.tensors import to_array, to_tensor
from devise_tf.export.signatures import (
    CLASSIFY_API_SIGNATURE,
    DEFAULT_SIGNATURE,
    MAX_WARMUP_RECORDS,
    SIGNATURES,
    WARMUP_FILE,
)

# What TF Serving's Classify API calls.
_CLASSIFY = SIGNATURES[CLASSIFY_API_SIGNATURE]


def predict(version: LoadedVersion, request: predict_pb2.PredictRequest, max_bytes: int) -> predict_pb2.PredictResponse:
    """Answers a predict request.

    Args:
        version: LoadedVersion. The version that answers; the request's own is not read.
        request: PredictRequest. The request.
        max_bytes: int. Most memory that an input may take.

    Raises:
        RequestError: As TF Serving: FAILED_PRECONDITION for a signature that the model does not have,
            INVALID_ARGUMENT for inputs that do not fit it and outputs that it does not have.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = version.signature(name, "predict")
    check_input_names(signature, request.inputs.keys())
    inputs = {name: to_array(name, tensor, max_bytes) for name, tensor in request.inputs.items()}
    _check_outputs(signature, request.output_filter)
    response = predict_pb2.PredictResponse()
    for output, array in version.run(signature, inputs, request.output_filter).items():
        response.outputs[output].CopyFrom(to_tensor(array))
    _set_model_spec(response.model_spec, request.model_spec.name, name, version.number)
    return response


def classify(
    version: LoadedVersion, request: classification_pb2.ClassificationRequest
) -> classification_pb2.ClassificationResponse:
    """Answers a classify request.

    Raises:
        RequestError: INVALID_ARGUMENT or FAILED_PRECONDITION, see `run_classify`; no example.
    """
    kind = request.input.WhichOneof("kind")
    if kind == "example_list":
        examples = [example.SerializeToString() for example in request.input.example_list.examples]
    elif kind == "example_list_with_context":
        # Messages of one type that are strung together are one message that has the fields of both.
        listed = request.input.example_list_with_context
        context = listed.context.SerializeToString()
        examples = [context + example.SerializeToString() for example in listed.examples]
    else:
        examples = []
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    classes, scores = run_classify(version, name, examples)
    response = classification_pb2.ClassificationResponse()
    for labels, row in zip(classes.tolist(), scores.tolist(), strict=True):
        answer = response.result.classifications.add()
        for label, score in zip(labels, row, strict=True):
            answer.classes.add(label=label.decode("utf-8", "replace"), score=score)
    _set_model_spec(response.model_spec, request.model_spec.name, name, version.number)
    return response


def run_classify(version: LoadedVersion, name: str, examples: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Classes (string [N, k], `bytes`) and scores (float32 [N, k]) of N serialized `tf.Example`s.

    Raises:
        RequestError: INVALID_ARGUMENT or FAILED_PRECONDITION: there are no examples, or the signature is none that
            takes them: one with the input `inputs`, string [N], and the outputs `classes` and `scores`.
    """
    signature = version.signature(name, "classify")
    if signature.inputs.keys() != _CLASSIFY.inputs.keys():
        raise RequestError("FAILED_PRECONDITION", f"No classification inputs found in SignatureDef: {name}")
    if not signature.outputs.keys() >= _CLASSIFY.outputs.keys():
        raise RequestError(
            "FAILED_PRECONDITION",
            f'Expected classification signature outputs to contain "classes" and "scores": {name}',
        )
    if not examples:
        raise invalid("Input is empty.")
    inputs = np.empty(len(examples), object)
    inputs[:] = examples
    outputs = version.run(signature, {"inputs": inputs}, tuple(_CLASSIFY.outputs))
    classes, scores = outputs["classes"], outputs["scores"]
    if not (classes.ndim == 2 and classes.shape == scores.shape and len(classes) == len(examples)):
        raise invalid(
            "Expected Tensor shape: [batch_size num_classes] of classes and scores but got "
            f"{list(classes.shape)} and {list(scores.shape)} for {len(examples)} examples"
        )
    return classes, scores


def replay_warmup(version: LoadedVersion) -> int:
    """Runs a version's warm-up requests, if it has any, and returns how many there were.

    Raises:
        RequestError: One of them failed, there are too many, or the file is damaged; TF Serving does not take such a
            version either.
    """
    path = f"{version.path.rstrip('/')}/{WARMUP_FILE}"
    if not tf.io.gfile.exists(path):
        return 0
    count = 0
    for record in tf.data.TFRecordDataset(path):
        count += 1
        if count > MAX_WARMUP_RECORDS:
            raise invalid(f"Number of warmup records exceeds the maximum ({MAX_WARMUP_RECORDS}) at {path}")
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        kind = log.WhichOneof("log_type")
        try:
            if kind == "predict_log":
                predict(version, log.predict_log.request, 2**40)
            elif kind == "classify_log":
                classify(version, log.classify_log.request)
            else:
                logging.warning("Warm-up request %d of %s is not replayed: it is a %s.", count, path, kind)
        except RequestError as error:
            raise RequestError(error.code, f"Warm-up request {count} of {path} failed: {error}") from None
    return count


def _check_outputs(signature: Signature, names: Sequence[str]) -> None:
    for name in names:
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {shorten(name)} Outputs expected to be in the set "
                f"{{{','.join(signature.outputs)}}}."
            )
    if len(set(names)) < len(names):
        raise invalid(f"duplicate output tensor alias: {', '.join(sorted(names))}")


def _set_model_spec(spec: Any, name: str, signature_name: str, number: int) -> None:
    spec.name = name
    spec.signature_name = signature_name
    spec.version.value = number
