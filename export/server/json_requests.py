"""REST's JSON: requests to arrays, and answers to JSON, by the rules of TF Serving.

A tensor is a number, string, boolean or `{"b64": …}` (bytes), or lists of them, all of one length at each depth. A
predict request is `{"instances": [one row of every input, …]}`, a row by itself where the model has one input, or
`{"inputs": every input whole}`. Answers have the same form: `predictions` or `outputs`, unkeyed where there is one
output. NaN, Infinity and -Infinity are numbers, in both directions.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import types_pb2

from devise_tf.export.server.request_error import invalid, shorten
from devise_tf.export.server.tensors import NUMPY_TYPES, dtype_name

_MAX_RANK = 32
_JSON_TYPES = {type(None): "Null", bool: "Bool", dict: "Object", list: "Array", str: "String", int: "Number"}
_FLOAT_DIGITS = {types_pb2.DT_FLOAT: 24, types_pb2.DT_DOUBLE: 53}


def parse_json(body: bytes) -> dict:
    """The object that a request's body holds.

    Raises:
        RequestError: INVALID_ARGUMENT, it is not JSON, or not an object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_float=_number)
    except RecursionError:
        raise invalid("JSON Parse error: Nested too deeply") from None
    except ValueError as error:  # of JSON, of UTF-8, and of integers with thousands of digits
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_text(document)} Is not object")
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid(
            f"JSON Value: {_text(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def predict_inputs(document: dict, dtypes: Mapping[str, int]) -> tuple[dict[str, np.ndarray], bool]:
    """The inputs of a predict request.

    Args:
        document: dict. The parsed request.
        dtypes: dict. The signature's inputs: `DataType`s by name.

    Returns:
        Arrays by name, and whether the request came by rows.

    Raises:
        RequestError: INVALID_ARGUMENT.
    """
    by_rows = "instances" in document
    if by_rows and "inputs" in document:
        raise invalid(
            f"JSON Value: {_text(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    if not dtypes or not NUMPY_TYPES.keys() >= set(dtypes.values()):
        raise invalid(f"Inputs of these types are not served: {', '.join(map(dtype_name, dtypes.values()))}")
    if by_rows:
        columns = _columns(document["instances"], dtypes)
    elif "inputs" in document:
        columns = _whole(document["inputs"], dtypes)
    else:
        raise invalid("Missing 'inputs' or 'instances' key")
    return {name: _array(name, column, dtypes[name]) for name, column in columns.items()}, by_rows


def classify_examples(document: dict) -> list[bytes]:
    """The serialized `tf.Example`s of a classify request, each joined to the request's context.

    Raises:
        RequestError: INVALID_ARGUMENT.
    """
    context = _example(document["context"]) if "context" in document else b""
    examples = document.get("examples")
    if not isinstance(examples, list) or not examples:
        raise invalid(
            f"JSON Value: {_text(document)} When method is classify, key 'examples' must hold a list that is not empty"
        )
    # Messages of one type that are strung together are one message that has the fields of both.
    return [context + _example(example) for example in examples]


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):  # Infinity comes by that name
        raise ValueError(f"Number too big to be stored in double: {shorten(text)}")
    return number


def _columns(instances: Any, dtypes: Mapping[str, int]) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise invalid(f"JSON Value: {_text(instances)} 'instances' must be a list that is not empty")
    keyed = _is_keyed(instances[0])
    if not keyed and len(dtypes) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required: "
            f"{', '.join(sorted(dtypes))}"
        )
    for number, instance in enumerate(instances):
        if _is_keyed(instance) != keyed:
            expected, received = ("object", "value/list") if keyed else ("value/list", "object")
            raise invalid(f"Expecting {expected} but got {received} at item {number} of input list")
        if keyed and instance.keys() != dtypes.keys():
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: {_text(instance)} keys must "
                f"be equal to: {','.join(sorted(dtypes))}"
            )
    if keyed:
        return {name: [instance[name] for instance in instances] for name in dtypes}
    return {next(iter(dtypes)): instances}


def _whole(inputs: Any, dtypes: Mapping[str, int]) -> dict[str, Any]:
    if not _is_keyed(inputs):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required: "
                f"{', '.join(sorted(dtypes))}"
            )
        return {next(iter(dtypes)): inputs}
    missing = sorted(dtypes.keys() - inputs.keys())
    if missing:
        raise invalid(f"Missing named input: {','.join(missing)} in 'inputs' object.")
    return {name: inputs[name] for name in dtypes}


def _is_keyed(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: dict) -> bool:
    return len(value) == 1 and isinstance(value.get("b64"), str)


def _array(name: str, value: Any, dtype: int) -> np.ndarray:
    """A dense array of nested lists. Level by level, and each level at once: pixels are many."""
    shape: list[int] = []
    level: list[Any] = [value]
    while level and (kinds := set(map(type, level))) & {list}:
        if len(kinds) > 1:
            stray = next(item for item in level if not isinstance(item, list))
            raise invalid(f"{name}: JSON Value: {_text(stray)} found at incorrect level: {len(shape) + 1}")
        sizes = set(map(len, level))
        if len(sizes) > 1:
            raise invalid(f"{name}: Encountered lists of different sizes at level {len(shape)}: {sorted(sizes)[:5]}")
        if len(shape) == _MAX_RANK:
            raise invalid(f"{name}: Lists nested deeper than {_MAX_RANK}")
        shape += sizes
        level = list(chain.from_iterable(level))
    array: np.ndarray = np.empty(len(level), NUMPY_TYPES[dtype])
    if dtype == types_pb2.DT_STRING:
        array[:] = [_bytes(item, name) for item in level]
    else:
        _check_numbers(level, dtype, name)
        array[:] = level
    return array.reshape(shape)


def _check_numbers(values: Sequence[Any], dtype: int, name: str) -> None:
    allowed = {int, float} if dtype in _FLOAT_DIGITS else {bool} if dtype == types_pb2.DT_BOOL else {int}
    if not set(map(type, values)) <= allowed:
        stray = next(value for value in values if type(value) not in allowed)
        raise invalid(
            f"{name}: JSON Value: {_text(stray)} Type: {_JSON_TYPES.get(type(stray), 'Number')} is not of expected "
            f"type: {dtype_name(dtype)}"
        )
    if dtype in _FLOAT_DIGITS:
        whole, limit = 2 ** _FLOAT_DIGITS[dtype], float(np.finfo(NUMPY_TYPES[dtype]).max)
        inexact = (v for v in values if not -whole < v < whole and _is_lossy(v, limit))
    elif dtype != types_pb2.DT_BOOL:
        bounds = np.iinfo(NUMPY_TYPES[dtype])
        inexact = (value for value in values if not bounds.min <= value <= bounds.max)
    else:
        return
    for value in inexact:
        raise invalid(
            f"{name}: Cannot convert JSON value: {_text(value)} to {dtype_name(dtype)} without loss of precision."
        )


def _is_lossy(value: float, limit: float) -> bool:
    return isinstance(value, int) or (math.isfinite(value) and abs(value) > limit)


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise invalid(f"{name}: JSON strings must be valid Unicode. Received: {value!a:.80}") from None
    if not isinstance(value, dict):
        raise invalid(
            f"{name}: JSON Value: {_text(value)} Type: {_JSON_TYPES.get(type(value), 'Number')} is not of expected "
            "type: string"
        )
    if not _is_base64(value):
        raise invalid(f"{name}: JSON Value: {_text(value)} not formatted correctly for base64 data")
    return _decode_base64(value["b64"], name)


def _decode_base64(text: str, name: str) -> bytes:
    # Padding may be left out, and white space be put in, as TF Serving allows.
    text = "".join(text.split())
    try:
        return base64.b64decode(text if text.endswith("=") else text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"{name}: Unable to base64 decode. Received: {shorten(ascii(text))}") from None


def _example(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {_JSON_TYPES.get(type(value), 'Number')}")
    example = example_pb2.Example()
    for name, content in value.items():
        values = content if isinstance(content, list) else [content]
        kinds = {dict: bytes, str: bytes, bool: int}
        types = {kinds.get(type(item), type(item)) for item in values}
        if len(types) > 1 or not types <= {bytes, int, float}:
            raise invalid(f"Feature: {shorten(name)} has elements of unexpected or different types: {_text(content)}")
        try:
            feature = example.features.feature[name]
            if types == {bytes}:
                feature.bytes_list.value.extend(_bytes(item, shorten(name)) for item in values)
            elif types == {float}:
                _check_numbers(values, types_pb2.DT_FLOAT, shorten(name))
                feature.float_list.value.extend(values)
            elif types == {int}:
                whole = [int(item) for item in values]
                _check_numbers(whole, types_pb2.DT_INT64, shorten(name))
                feature.int64_list.value.extend(whole)
        except UnicodeEncodeError:
            raise invalid(f"JSON strings must be valid Unicode. Received: {name!a:.80}") from None
    return example.SerializeToString()


def _text(value: Any) -> str:
    """A value as an error shows it."""
    if isinstance(value, dict):
        return shorten("{" + ", ".join(f'"{key}": …' for key in list(value)[:4]) + "}")
    return f"a list of {len(value)}" if isinstance(value, list) else shorten(json.dumps(value))
