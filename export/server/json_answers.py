"""REST's JSON: arrays to answers, by the rules of TF Serving; see `json_requests`."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from devise_tf.export.server.request_error import invalid


def predict_answer(outputs: Mapping[str, np.ndarray], by_rows: bool) -> bytes:
    """The JSON of a predict request's outputs.

    Raises:
        RequestError: INVALID_ARGUMENT, they cannot be cut into rows; ask with `inputs` then.
    """
    if not by_rows:
        values = {name: _values(name, array) for name, array in outputs.items()}
        return _dump({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) > 1 or () in sizes:
        shapes = {name: list(array.shape) for name, array in outputs.items()}
        raise invalid(f"Outputs have no or inconsistent batch sizes, ask with 'inputs'. Received: {shapes}")
    columns = [_values(name, array) for name, array in outputs.items()]
    if len(columns) == 1:
        return _dump({"predictions": columns[0]})
    return _dump({"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]})


def classify_answer(classes: np.ndarray, scores: np.ndarray) -> bytes:
    """The JSON of a classify request's answer: for each example a list of pairs of label and score."""
    labels, decimals = _values("classes", classes), _values("scores", scores)
    return _dump({"results": [list(zip(*row, strict=True)) for row in zip(labels, decimals, strict=True)]})


def _values(name: str, array: np.ndarray) -> list:
    """Nested lists of an output."""
    convert: Callable[[Any], Any]
    if array.dtype == object:
        convert = _encode_base64 if name.endswith("_bytes") else _decode_text
    elif array.dtype == np.float32:
        convert = _decimal
    else:
        return array.tolist()
    values = np.empty(array.size, object)
    values[:] = [convert(value) for value in array.ravel()]
    return values.reshape(array.shape).tolist()


def _decimal(value: np.float32) -> float:
    """The shortest decimal number that is this float32: 0.1, where its nearest double is 0.10000000149."""
    return float(str(value))


def _encode_base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _decode_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _dump(document: dict) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
