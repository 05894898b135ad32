import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from devise_tf.export.server.request_error import RequestError
from devise_tf.export.server.tensors import to_array, to_tensor

LIMIT = 1 << 20


def _tensor(shape, dtype=types_pb2.DT_FLOAT, **values):
    tensor = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -2.0, np.inf]], np.float32),
        np.array([1e300], np.float64),
        np.array([[-128, 127]], np.int8),
        np.array([-5], np.int16),
        np.array(7, np.int32),
        np.array([2**62], np.int64),
        np.array([255], np.uint8),
        np.array([65535], np.uint16),
        np.array([2**32 - 1], np.uint32),
        np.array([2**64 - 1], np.uint64),
        np.array([[True], [False]]),
        np.array([[b"a", b"\xff\x00"], [b"", b"cat"]], object),
        np.zeros((0, 3), np.float32),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_survive_the_round_trip(array):
    """Through TensorFlow's own messages, and through the server's."""
    for tensor in (tf.make_tensor_proto(array), to_tensor(array)):
        back = to_array("x", tensor, LIMIT)
        assert back.dtype == array.dtype and back.shape == array.shape
        assert np.array_equal(back, array)
    assert np.array_equal(tf.make_ndarray(to_tensor(array)), array)


def test_too_few_values_are_filled_up_as_tensorflow_does():
    assert to_array("x", _tensor([2, 2], float_val=[1.0, 3.0]), LIMIT).tolist() == [[1.0, 3.0], [3.0, 3.0]]
    assert to_array("x", _tensor([3]), LIMIT).tolist() == [0.0, 0.0, 0.0]
    strings = _tensor([3], types_pb2.DT_STRING, string_val=[b"a", b"b"])
    assert to_array("x", strings, LIMIT).tolist() == [b"a", b"b", b"b"]
    assert to_array("x", _tensor([2], types_pb2.DT_STRING), LIMIT).tolist() == [b"", b""]


@pytest.mark.parametrize(
    "tensor",
    [
        _tensor([10**9], float_val=[1.0]),
        _tensor([10**9]),
        _tensor([2**40, 2**40], float_val=[1.0]),
        _tensor([10**6], types_pb2.DT_STRING, string_val=[b"a"]),
        _tensor([1000], types_pb2.DT_STRING, string_val=[b"a" * 2000]),
        _tensor([-1], float_val=[1.0]),
        _tensor([2, -3]),
        _tensor([1] * 40, float_val=[1.0]),
        _tensor([1], float_val=[1.0, 2.0]),
        _tensor([2], tensor_content=b"123"),
        _tensor([0], tensor_content=b"1234"),
        _tensor([1], types_pb2.DT_STRING, tensor_content=b"a"),
        _tensor([1], types_pb2.DT_INT8, int_val=[1000]),
        _tensor([1], types_pb2.DT_INVALID, float_val=[1.0]),
        _tensor([1], types_pb2.DT_VARIANT),
        _tensor([1], types_pb2.DT_RESOURCE),
        _tensor([1], 9999),
        tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape={"unknown_rank": True}),
    ],
    ids=range(18),
)
def test_malformed_tensors_are_refused_before_they_take_memory(tensor):
    with pytest.raises(RequestError, match="^tensor parsing error: x: ") as caught:
        to_array("x", tensor, LIMIT)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_limit_counts_the_memory_that_a_tensor_takes():
    sizes = {types_pb2.DT_FLOAT: 4, types_pb2.DT_INT8: 1, types_pb2.DT_STRING: 24}
    for dtype, size in sizes.items():
        count = math.floor(LIMIT / size)
        assert to_array("x", _tensor([count], dtype), LIMIT).shape == (count,)
        with pytest.raises(RequestError, match=f"more than the limit of {LIMIT} bytes"):
            to_array("x", _tensor([count + 1], dtype), LIMIT)


def test_outputs_of_other_types_are_not_served():
    with pytest.raises(RequestError, match="float16 are not served"):
        to_tensor(np.zeros(2, np.float16))
