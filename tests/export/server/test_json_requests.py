import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from devise_tf.export.server.json_answers import classify_answer, predict_answer
from devise_tf.export.server.json_requests import classify_examples, parse_json, predict_inputs
from devise_tf.export.server.request_error import RequestError

FLOAT, STRING, INT32, BOOL = types_pb2.DT_FLOAT, types_pb2.DT_STRING, types_pb2.DT_INT32, types_pb2.DT_BOOL


def _inputs(text, **dtypes):
    arrays, by_rows = predict_inputs(parse_json(text.encode()), dtypes)
    return {name: array.tolist() for name, array in arrays.items()}, by_rows


@pytest.mark.parametrize(
    ("text", "dtypes", "expected"),
    # The forms of TF Serving's documentation ("RESTful API").
    [
        ('{"instances": ["foo", "bar"]}', {"t": STRING}, {"t": [b"foo", b"bar"]}),
        ('{"instances": [{"t": "foo"}, {"t": "bar"}]}', {"t": STRING}, {"t": [b"foo", b"bar"]}),
        ('{"instances": [{"b64": "/w=="}, {"b64": "AAE"}]}', {"t": STRING}, {"t": [b"\xff", b"\x00\x01"]}),
        ('{"instances": [{"t": {"b64": "Y2F0"}}]}', {"t": STRING}, {"t": [b"cat"]}),
        ('{"instances": [[[1, 2]], [[3.5, NaN]]]}', {"x": FLOAT}, {"x": [[[1.0, 2.0]], [[3.5, float("nan")]]]}),
        (
            '{"instances": [{"a": "x", "b": [1, 2]}, {"b": [3, 4], "a": "y"}]}',
            {"a": STRING, "b": INT32},
            {"a": [b"x", b"y"], "b": [[1, 2], [3, 4]]},
        ),
        ('{"instances": [[], []]}', {"x": FLOAT}, {"x": [[], []]}),
        ('{"instances": [true, false]}', {"x": BOOL}, {"x": [True, False]}),
        ('{"instances": ["zürich", "\\u00e5"]}', {"t": STRING}, {"t": ["zürich".encode(), "å".encode()]}),
    ],
)
def test_requests_by_rows(text, dtypes, expected):
    arrays, by_rows = _inputs(text, **dtypes)
    assert by_rows and repr(arrays) == repr(expected)


@pytest.mark.parametrize(
    ("text", "dtypes", "expected"),
    [
        ('{"inputs": ["foo"]}', {"t": STRING}, {"t": [b"foo"]}),
        ('{"inputs": {"t": ["foo"]}}', {"t": STRING}, {"t": [b"foo"]}),
        ('{"inputs": {"b64": "Y2F0"}}', {"t": STRING}, {"t": b"cat"}),
        ('{"inputs": 3}', {"x": FLOAT}, {"x": 3.0}),
        (
            '{"inputs": {"a": [{"b64": "Y2F0"}, "dog"], "b": [[1]], "c": "more is not read"}}',
            {"a": STRING, "b": INT32},
            {"a": [b"cat", b"dog"], "b": [[1]]},
        ),
        ('\ufeff{"inputs": [Infinity, -Infinity]}', {"x": FLOAT}, {"x": [float("inf"), float("-inf")]}),
        (
            '{"inputs": [16777215, 1e10, 3.4028234663852886e38]}',
            {"x": FLOAT},
            {"x": [16777215.0, 1e10, 2.0**128 - 2.0**104]},
        ),
    ],
)
def test_requests_by_columns(text, dtypes, expected):
    arrays, by_rows = _inputs(text, **dtypes)
    assert not by_rows and arrays == expected


@pytest.mark.parametrize(
    ("text", "dtypes", "message"),
    [
        ("", {"x": FLOAT}, "The document is empty"),
        ("{", {"x": FLOAT}, "JSON Parse error"),
        ("nonsense", {"x": FLOAT}, "JSON Parse error"),
        ('{"inputs": 1} trailing', {"x": FLOAT}, "JSON Parse error"),
        ('{"inputs": ' + "[" * 100_000, {"x": FLOAT}, "Nested too deeply"),
        ('{"inputs": ' + "[" * 50 + "1" + "]" * 50 + "}", {"x": FLOAT}, "nested deeper than 32"),
        ('{"inputs": 1e999}', {"x": FLOAT}, "Number too big"),
        ('{"inputs": ' + "9" * 5000 + "}", {"x": FLOAT}, "JSON Parse error"),
        ("[1, 2]", {"x": FLOAT}, "Is not object"),
        ("null", {"x": FLOAT}, "Is not object"),
        ("{}", {"x": FLOAT}, "Missing 'inputs' or 'instances' key"),
        ('{"signature_name": 7, "inputs": 1}', {"x": FLOAT}, "'signature_name' key must be a string value"),
        ('{"instances": [1], "inputs": [1]}', {"x": FLOAT}, "expecting only one of 'inputs' or 'instances'"),
        ('{"instances": []}', {"x": FLOAT}, "must be a list that is not empty"),
        ('{"instances": {"x": 1}}', {"x": FLOAT}, "must be a list that is not empty"),
        ('{"instances": [1]}', {"x": FLOAT, "y": FLOAT}, "expecting list of objects"),
        ('{"instances": [{"x": 1}, 2]}', {"x": FLOAT}, "Expecting object but got value/list at item 1"),
        ('{"instances": [2, {"x": 1}]}', {"x": FLOAT}, "Expecting value/list but got object at item 1"),
        ('{"instances": [{"x": 1, "z": 1}]}', {"x": FLOAT}, "keys must be equal to: x"),
        ('{"instances": [{"z": 1}]}', {"x": FLOAT}, "keys must be equal to: x"),
        ('{"instances": [[1, 2], [3]]}', {"x": FLOAT}, "lists of different sizes at level 1"),
        ('{"instances": [[1, 2], 3]}', {"x": FLOAT}, "found at incorrect level"),
        ('{"instances": [[1, [2]]]}', {"x": FLOAT}, "found at incorrect level"),
        ('{"inputs": [1]}', {"x": FLOAT, "y": FLOAT}, "expecting an object"),
        ('{"inputs": {"x": 1}}', {"x": FLOAT, "y": FLOAT}, "Missing named input: y"),
        ('{"inputs": ["1"]}', {"x": FLOAT}, 'JSON Value: "1" Type: String is not of expected type: float'),
        ('{"inputs": [true]}', {"x": FLOAT}, "Type: Bool is not of expected type: float"),
        ('{"inputs": [null]}', {"x": FLOAT}, "Type: Null is not of expected type: float"),
        ('{"inputs": [{"b64": "AA=="}]}', {"x": FLOAT}, "Type: Object is not of expected type: float"),
        ('{"inputs": [16777217]}', {"x": FLOAT}, "16777217 to float without loss of precision"),
        ('{"inputs": [' + "9" * 400 + "]}", {"x": FLOAT}, "to float without loss of precision"),
        ('{"inputs": [1e39]}', {"x": FLOAT}, "to float without loss of precision"),
        ('{"inputs": [1.0]}', {"x": INT32}, "not of expected type: int32"),
        ('{"inputs": [2147483648]}', {"x": INT32}, "to int32 without loss"),
        ('{"inputs": [1]}', {"x": BOOL}, "not of expected type: bool"),
        ('{"inputs": [1]}', {"x": STRING}, "Type: Number is not of expected type: string"),
        ('{"inputs": [null]}', {"x": STRING}, "Type: Null is not of expected type: string"),
        ('{"inputs": [{"b64": "A"}]}', {"x": STRING}, "Unable to base64 decode"),
        ('{"inputs": [{"b64": "*&^%"}]}', {"x": STRING}, "Unable to base64 decode"),
        ('{"inputs": [{"b64": "ä"}]}', {"x": STRING}, "Unable to base64 decode"),
        ('{"inputs": [{"b64": 7}]}', {"x": STRING}, "not formatted correctly for base64 data"),
        ('{"inputs": [{"b64": "AA==", "more": 1}]}', {"x": STRING}, "not formatted correctly for base64 data"),
        ('{"inputs": ["\\ud800"]}', {"x": STRING}, "valid Unicode"),
        ('{"inputs": [1]}', {"x": types_pb2.DT_HALF}, "are not served: half"),
        ('{"inputs": [1]}', {}, "are not served"),
    ],
)
def test_malformed_requests_are_refused(text, dtypes, message):
    with pytest.raises(RequestError) as caught:
        _inputs(text, **dtypes)
    assert caught.value.code == "INVALID_ARGUMENT" and message in str(caught.value)


def test_text_that_is_not_utf8_is_refused():
    with pytest.raises(RequestError, match="JSON Parse error"):
        parse_json(b'{"inputs": "\xff"}')


def test_floats_are_written_as_short_as_they_are_exact():
    """0.1 as a float32 is 0.10000000149; a reader of float32 gets the same number from 0.1."""
    values = np.array([0.1, 1 / 3, 16777216.0, 1e-10, 2.0, -0.0], np.float32)
    text = predict_answer({"y": values}, by_rows=True)
    assert text == b'{"predictions": [0.1, 0.33333334, 16777216.0, 1e-10, 2.0, -0.0]}'
    assert np.array_equal(np.array(json.loads(text)["predictions"], np.float32), values)


def test_nan_and_infinity_are_written_by_name():
    values = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert predict_answer({"y": values}, by_rows=False) == b'{"outputs": [NaN, Infinity, -Infinity]}'


def test_one_output_is_not_keyed():
    names = np.array([["a"], ["b"]], object)
    names = np.vectorize(str.encode, otypes=[object])(names)
    assert json.loads(predict_answer({"y": names}, by_rows=True)) == {"predictions": [["a"], ["b"]]}
    assert json.loads(predict_answer({"y": names}, by_rows=False)) == {"outputs": [["a"], ["b"]]}


def test_several_outputs_are_keyed():
    outputs = {"n": np.array([1, 2], np.int32), "ok": np.array([[True], [False]])}
    assert json.loads(predict_answer(outputs, by_rows=True)) == {
        "predictions": [{"n": 1, "ok": [True]}, {"n": 2, "ok": [False]}]
    }
    assert json.loads(predict_answer(outputs, by_rows=False)) == {"outputs": {"n": [1, 2], "ok": [[True], [False]]}}


def test_outputs_that_are_bytes_are_encoded():
    values = np.array([b"\xff\x00", b"a"], object)
    assert json.loads(predict_answer({"image_bytes": values}, by_rows=True)) == {
        "predictions": [{"b64": "/wA="}, {"b64": "YQ=="}]
    }
    # Under another name, they are text; what is not UTF-8 must not make the answer unreadable.
    assert json.loads(predict_answer({"image": values}, by_rows=True)) == {"predictions": ["\ufffd\x00", "a"]}


@pytest.mark.parametrize(
    "outputs", [{"a": np.zeros(2), "b": np.zeros(3)}, {"a": np.array(1.0)}, {"a": np.zeros(2), "b": np.array(1.0)}]
)
def test_outputs_without_rows_cannot_be_given_by_rows(outputs):
    with pytest.raises(RequestError, match="batch sizes"):
        predict_answer(outputs, by_rows=True)
    assert predict_answer(outputs, by_rows=False)


def test_examples_of_a_classify_request():
    document = parse_json(
        b'{"context": {"both": ["x"], "n": 5}, "examples": [{"image": {"b64": "/w=="}, "f": [1.5, NaN]}, '
        b'{"flag": true, "n": [1, 2], "none": []}]}'
    )
    first, second = (tf.train.Example.FromString(example) for example in classify_examples(document))
    features = first.features.feature
    assert features["both"].bytes_list.value[:] == [b"x"] and features["n"].int64_list.value[:] == [5]
    assert features["image"].bytes_list.value[:] == [b"\xff"]
    assert features["f"].float_list.value[0] == 1.5 and np.isnan(features["f"].float_list.value[1])
    features = second.features.feature
    assert features["flag"].int64_list.value[:] == [1] and features["n"].int64_list.value[:] == [1, 2]
    assert features["none"].WhichOneof("kind") is None and features["both"].bytes_list.value[:] == [b"x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "key 'examples' must hold a list"),
        ('{"examples": []}', "key 'examples' must hold a list"),
        ('{"examples": {"a": 1}}', "key 'examples' must hold a list"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [{"a": 1}], "context": [1]}', "Example must be JSON object but got JSON Array"),
        ('{"examples": [{"a": null}]}', "unexpected or different types"),
        ('{"examples": [{"a": [1, 2.5]}]}', "unexpected or different types"),
        ('{"examples": [{"a": ["x", 1]}]}', "unexpected or different types"),
        ('{"examples": [{"a": [[1]]}]}', "unexpected or different types"),
        ('{"examples": [{"a": {"x": 1}}]}', "not formatted correctly for base64 data"),
        ('{"examples": [{"a": {"b64": "A"}}]}', "Unable to base64 decode"),
        ('{"examples": [{"a": 9223372036854775808}]}', "without loss of precision"),
        ('{"examples": [{"a": 1e39}]}', "without loss of precision"),
        ('{"examples": [{"\\ud800": 1}]}', "valid Unicode"),
        ('{"examples": [{"a": "\\ud800"}]}', "valid Unicode"),
    ],
)
def test_malformed_examples_are_refused(text, message):
    with pytest.raises(RequestError) as caught:
        classify_examples(parse_json(text.encode()))
    assert caught.value.code == "INVALID_ARGUMENT" and message in str(caught.value)


def test_answer_of_a_classify_request():
    classes = np.array([[b"cat", b"dog"], [b"dog", b"cat"]], object)
    scores = np.array([[0.1, 0.2], [1.0, -1.0]], np.float32)
    assert classify_answer(classes, scores) == (
        b'{"results": [[["cat", 0.1], ["dog", 0.2]], [["dog", 1.0], ["cat", -1.0]]]}'
    )
