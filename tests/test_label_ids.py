"""Labels of any shape and dtype that Keras users have, and what becomes of those that are none."""

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.label_ids import known_values, label_ids, per_example

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
# What 32 bits, and signed numbers of the same size, would take for label 1.
ALIASES = [("int64", 2**32 + 1), ("uint64", 2**32 + 1), ("uint64", 2**63 + 1), ("uint32", 2**31 + 1), ("int8", -127)]


@pytest.mark.parametrize("make", [np.array, tf.constant], ids=["array", "tensor"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_integer_dtype_and_both_shapes_are_taken_alike(dtype, make):
    for shape in ((3,), (3, 1)):
        ids, is_label = label_ids(make(np.reshape([2, 0, 99], shape).astype(dtype)), (3,), 100)
        assert ids.dtype == tf.int32
        np.testing.assert_array_equal(ids, [2, 0, 99])
        np.testing.assert_array_equal(is_label, [True] * 3)


def test_lists_and_more_dimensions_are_taken():
    np.testing.assert_array_equal(label_ids([2, 0], (2,), 3)[0], [2, 0])
    labels = np.arange(6).reshape(3, 2)
    for given in (labels, labels[:, :, None]):
        np.testing.assert_array_equal(label_ids(given, (3, 2), 6)[0], labels)


@pytest.mark.parametrize("make", [np.array, tf.constant], ids=["array", "tensor"])
@pytest.mark.parametrize(("dtype", "value"), [*ALIASES, ("int32", -1), ("int64", 300), ("uint8", 200)])
def test_values_outside_are_an_error_where_they_are_known(dtype, value, make):
    labels = make(np.array([0, 1, value, 99], dtype))
    with pytest.raises(ValueError, match=rf"`labels` must be ids from 0 to 99. Received: 1 others, \[{value}\]"):
        label_ids(labels, (4,), 100)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("dtype", "value"), [*ALIASES, ("int16", -1), ("uint8", 200)])
def test_values_outside_are_told_apart_in_a_compiled_function(dtype, value, jit_compile):
    compiled = tf.function(lambda labels: label_ids(labels, (None,), 100), jit_compile=jit_compile)
    ids, is_label = compiled(tf.constant(np.array([0, value, 99], dtype)))
    np.testing.assert_array_equal(is_label, [True, False, True])
    assert 0 <= ids[1] < 100 and (ids[0], ids[2]) == (0, 99)


def test_without_a_number_of_labels_all_ids_from_zero_are_labels():
    np.testing.assert_array_equal(label_ids([0, 2**31 - 2], (2,))[0], [0, 2**31 - 2])
    with pytest.raises(ValueError, match=r"Received: 1 others, \[-1\]"):
        label_ids([0, -1], (2,))


@pytest.mark.parametrize("shape", [(), (3,), (4, 2), (1, 4), (4, 1, 1)])
def test_other_shapes_are_named(shape):
    with pytest.raises(ValueError, match=r"`targets` must have the shape \(4,\) or \(4, 1\).*targets.shape="):
        label_ids(np.zeros(shape, int), (4,), 3, "targets")


@pytest.mark.parametrize("labels", [[0.0, 1.0], [True, False], np.eye(2, dtype="float16")])
def test_other_dtypes_are_refused(labels):
    with pytest.raises(ValueError, match="`labels` must be integers. Received: labels.dtype="):
        label_ids(labels, (2,), 3)


def test_shapes_may_be_unknown_until_a_function_runs():
    signature = [tf.TensorSpec([None, None], tf.float32)]
    compiled = tf.function(lambda values: per_example(values, (None,), "weights"), input_signature=signature)
    np.testing.assert_array_equal(compiled(np.ones((3, 1), "float32")), np.ones(3))
    with pytest.raises(tf.errors.InvalidArgumentError):
        compiled(np.ones((3, 2), "float32"))


def test_values_are_known_outside_of_compiled_functions_alone():
    seen = []
    tf.function(lambda tensor: seen.append(known_values(tensor)))(tf.constant([1, 2]))
    assert seen == [None]
    np.testing.assert_array_equal(known_values(tf.constant([1, 2])), [1, 2])
