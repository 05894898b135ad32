"""Tensors of requests and answers: protocol messages to arrays and back. What a client sends is not trusted."""

import math
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2

from devise_tf.export.server.request_error import RequestError, invalid

# The field that holds a type's values, and their NumPy type.
_TYPES = {
    types_pb2.DT_FLOAT: ("float_val", np.float32),
    types_pb2.DT_DOUBLE: ("double_val", np.float64),
    types_pb2.DT_INT8: ("int_val", np.int8),
    types_pb2.DT_INT16: ("int_val", np.int16),
    types_pb2.DT_INT32: ("int_val", np.int32),
    types_pb2.DT_INT64: ("int64_val", np.int64),
    types_pb2.DT_UINT8: ("int_val", np.uint8),
    types_pb2.DT_UINT16: ("int_val", np.uint16),
    types_pb2.DT_UINT32: ("uint32_val", np.uint32),
    types_pb2.DT_UINT64: ("uint64_val", np.uint64),
    types_pb2.DT_BOOL: ("bool_val", np.bool_),
    types_pb2.DT_STRING: ("string_val", np.object_),
}
NUMPY_TYPES = {dtype: numpy_type for dtype, (_, numpy_type) in _TYPES.items()}
_DTYPES = {np.dtype(numpy_type): dtype for dtype, numpy_type in NUMPY_TYPES.items()}
_MAX_RANK = 32
_STRING_BYTES = 24  # what TensorFlow takes for a string, its characters aside


def dtype_name(dtype: int) -> str:
    """`float`, `string`, …: TensorFlow's name of a `DataType`."""
    return types_pb2.DataType.Name(dtype).removeprefix("DT_").lower() if dtype in types_pb2.DataType.values() else "?"


def to_array(name: str, tensor: tensor_pb2.TensorProto, max_bytes: int) -> np.ndarray:
    """The array of a tensor that a client sent.

    As in TensorFlow, too few values are filled up with the last one, and none at all with zeros or empty strings.

    Args:
        name: str. What the tensor is called in errors.
        tensor: TensorProto. The tensor.
        max_bytes: int. Most memory that it may take: a small message can stand for a tensor of any size.

    Returns:
        The array; strings are `bytes` in an object array.

    Raises:
        RequestError: INVALID_ARGUMENT, it is not a tensor, not of a type that can be served, or too large.
    """
    if tensor.dtype not in _TYPES:
        raise invalid(f"tensor parsing error: {name}: tensors of the type {dtype_name(tensor.dtype)} are not served")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or len(shape) > _MAX_RANK or min(shape, default=0) < 0:
        raise invalid(
            f"tensor parsing error: {name}: a shape has at most {_MAX_RANK} dimensions, none below 0. "
            f"Received: {'an unknown rank' if tensor.tensor_shape.unknown_rank else shape[: _MAX_RANK + 1]}"
        )
    field, numpy_type = _TYPES[tensor.dtype]
    strings = tensor.dtype == types_pb2.DT_STRING
    count = math.prod(shape)
    itemsize = _STRING_BYTES if strings else np.dtype(numpy_type).itemsize
    if count * itemsize > max_bytes:
        raise invalid(f"tensor parsing error: {name}: {shape} takes more than the limit of {max_bytes} bytes")
    if tensor.tensor_content:
        if strings or len(tensor.tensor_content) != count * itemsize:
            raise invalid(
                f"tensor parsing error: {name}: `tensor_content` must hold {shape} numbers; strings belong in "
                f"`string_val`. Received: {len(tensor.tensor_content)} bytes"
            )
        return np.frombuffer(tensor.tensor_content, numpy_type).reshape(shape)
    values = list(getattr(tensor, field))
    if len(values) > count:
        raise invalid(f"tensor parsing error: {name}: {len(values)} values do not fit into {shape}")
    if len(values) < count:
        last: Any = values[-1] if values else (b"" if strings else 0)
        if strings and (count - len(values)) * len(last) > max_bytes:
            raise invalid(f"tensor parsing error: {name}: {shape} takes more than the limit of {max_bytes} bytes")
        values += [last] * (count - len(values))
    array = np.empty(count, numpy_type)
    try:
        array[:] = values
    except OverflowError as error:
        raise invalid(f"tensor parsing error: {name}: {error}") from None
    return array.reshape(shape)


def to_tensor(array: np.ndarray) -> tensor_pb2.TensorProto:
    """The message of an array that the session gave; values lie in the field of their type, as TF Serving sends them.

    Raises:
        RequestError: UNIMPLEMENTED, arrays of this type are not served.
    """
    dtype = _DTYPES.get(array.dtype)
    if dtype is None:
        raise RequestError("UNIMPLEMENTED", f"Outputs of the type {array.dtype} are not served.")
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in array.shape]
    return tensor_pb2.TensorProto(
        dtype=dtype,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims),
        **{_TYPES[dtype][0]: array.ravel().tolist()},
    )
