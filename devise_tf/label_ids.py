"""What layers, losses and metrics take as labels: one place for their shapes, dtypes and values."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

_LARGEST = np.iinfo(np.int32).max


def label_ids(
    labels: Any, batch_shape: Sequence[int | None], num_labels: Any = _LARGEST, name: str = "labels"
) -> tuple[Any, Any]:
    """Brings labels to one shape and dtype, and tells which of them are ids at all.

    An id outside of `0 .. num_labels - 1`, such as -1 for "no label", is an error where values are known, which is
    everywhere but within a function that is being compiled. There the caller makes the example's result NaN.

    Args:
        labels: integer tensor or array of any integer dtype, of the shape `batch_shape` or `(*batch_shape, 1)`.
        batch_shape: the shape of the examples, `(B,)` in most cases; None for a dimension that is not known yet.
        num_labels: integer, or integer tensor. How many labels there are; by default all ids from 0 are labels.
        name: str. The argument that errors name.

    Returns:
        int32 tensor, of the shape `batch_shape`. The ids; the nearest one where a label is none.
        bool tensor, of the shape `batch_shape`. Whether the label is one of those that there are.

    Raises:
        ValueError: The labels are not integers, have another shape, or are known and outside of the range.

    Example:

    >>> label_ids(np.array([[2], [0]], "uint8"), batch_shape=(2,), num_labels=3)
    ([2, 0], [True, True])
    """
    is_tensor = ops.is_tensor(labels)
    labels = labels if is_tensor else np.asarray(labels)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    if "int" not in dtype:
        raise ValueError(f"`{name}` must be integers. Received: {name}.dtype={dtype}")
    _check_values(known_values(labels), num_labels, name)
    if is_tensor:
        # Only 64 bits hold what 32 would take for another id. JAX has no such tensors, unless it is told to.
        labels = ops.cast(labels, "int64" if "64" in dtype else "int32")
    else:
        labels = labels.astype(np.int32)
    labels = per_example(labels, batch_shape, name)
    ids = ops.maximum(ops.minimum(labels, num_labels - 1), 0)
    return ops.cast(ids, "int32"), ops.equal(ids, labels)


def per_example(values: Any, batch_shape: Sequence[int | None], name: str) -> Any:
    """Values of the shape `batch_shape` or `(*batch_shape, 1)`, one an example, as a tensor of the shape `batch_shape`.

    Args:
        values: tensor or array.
        batch_shape: the shape of the examples; None for a dimension that is not known yet.
        name: str. The argument that errors name.

    Raises:
        ValueError: The values have another shape.

    Example:

    >>> per_example(np.array([[0.5], [1.0]]), (2,), "sample_weight")
    [0.5, 1.0]
    """
    values = ops.convert_to_tensor(values)
    expected, shape = tuple(batch_shape), tuple(values.shape)
    has_last = len(shape) == len(expected) + 1 and shape[-1] in (1, None)
    if len(shape) != len(expected) + has_last or any(
        None not in sizes and sizes[0] != sizes[1] for sizes in zip(shape, expected, strict=False)
    ):
        raise ValueError(
            f"`{name}` must have the shape {expected} or {(*expected, 1)}, one value for each example. "
            f"Received: {name}.shape={shape}"
        )
    return ops.reshape(values, ops.shape(values)[:-1]) if has_last else values


def known_values(tensor: Any) -> np.ndarray | None:
    """The values of a tensor; None within a function that is being compiled, where there are none yet."""
    try:
        return ops.convert_to_numpy(tensor)
    except (NotImplementedError, RuntimeError, TypeError):  # TensorFlow, PyTorch, JAX
        return None


def _check_values(values: np.ndarray | None, num_labels: Any, name: str) -> None:
    if values is None or not isinstance(num_labels, int):
        return
    others = values[(values < 0) | (values >= num_labels)]
    if others.size:
        raise ValueError(
            f"`{name}` must be ids from 0 to {num_labels - 1}. "
            f"Received: {others.size} others, {np.unique(others)[:5].tolist()}"
        )
