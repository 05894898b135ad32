"""The checks that every layer must pass."""

import inspect
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np


def run_layer_test(
    layer_class: type[keras.layers.Layer],
    init_kwargs: Mapping[str, Any],
    call_args: Sequence[np.ndarray],
    expected_dtypes: Sequence[str] = ("float32",),
    tolerance: float = 2e-2,
) -> None:
    """Checks config and JSON round trip, eager = symbolic, save -> load, mixed precision, and the output's shape.

    The layer's weights are filled with random values first, so that a weight which is lost shows in the outputs.

    Args:
        layer_class: the class under test.
        init_kwargs: its arguments.
        call_args: the arrays it is called with, in order; the first dimension of each is the batch.
        expected_dtypes: the dtypes of its outputs, with and without mixed precision.
        tolerance: how far, relatively, a float output may move when float inputs are rounded to bfloat16.
    """
    layer = layer_class(**init_kwargs)
    shapes = [array.shape for array in call_args]

    # Config: an attribute for every argument; the same config again after JSON, both ways of reviving a layer.
    arguments = [p.name for p in inspect.signature(layer_class.__init__).parameters.values() if p.kind != p.VAR_KEYWORD]
    for argument in arguments[1:]:
        assert hasattr(layer, argument), f"no attribute {argument}"
    config = layer.get_config()
    assert layer_class.from_config(json.loads(json.dumps(config))).get_config() == config
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert serialized["registered_name"] == f"devise_tf>{layer_class.__name__}"
    revived = keras.saving.deserialize_keras_object(serialized)
    assert type(revived) is layer_class
    assert revived.get_config() == config

    # Shape, dtype, and the same output from a revived layer of equal weights.
    layer.build(*shapes)
    weights = _random_weights(layer)
    layer.set_weights(weights)
    eager = _call(layer, call_args)
    output_shapes = layer.compute_output_shape(*shapes)
    output_shapes = output_shapes if isinstance(output_shapes[0], tuple) else (output_shapes,)
    assert tuple(output.shape for output in eager) == output_shapes
    assert tuple(output.dtype.name for output in eager) == tuple(expected_dtypes)
    revived.build(*shapes)
    revived.set_weights(weights)
    _assert_equal(_call(revived, call_args), eager)

    # Symbolic, with a batch of unknown size.
    inputs = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in call_args]
    model = keras.Model(inputs, layer(*inputs))
    assert tuple(output.shape for output in model.outputs) == tuple((None, *shape[1:]) for shape in output_shapes)
    assert tuple(keras.backend.standardize_dtype(output.dtype) for output in model.outputs) == tuple(expected_dtypes)
    _assert_equal(_flat(model.predict_on_batch(list(call_args))), eager, exactly=False)

    # Saved and loaded: the same class, weights bit for bit, the same output.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
    loaded_layer = loaded.get_layer(layer.name)
    assert type(loaded_layer) is layer_class
    assert [w.name for w in loaded_layer.weights] == [w.name for w in layer.weights]
    _assert_equal(loaded_layer.get_weights(), weights)
    _assert_equal(_call(loaded, [list(call_args)]), eager)

    # Mixed precision: inputs in half precision, ids untouched, the promised dtypes.
    half = layer_class(**{**init_kwargs, "dtype": "mixed_bfloat16"})
    half_args = [
        keras.ops.cast(array, "bfloat16") if array.dtype.kind == "f" else keras.ops.convert_to_tensor(array)
        for array in call_args
    ]
    half.build(*shapes)
    half.set_weights(weights)
    outputs = _call(half, half_args)
    assert tuple(output.dtype.name for output in outputs) == tuple(expected_dtypes)
    spec = _flat(half.compute_output_spec(*[keras.KerasTensor(a.shape, dtype=a.dtype) for a in half_args]))
    assert tuple(keras.backend.standardize_dtype(output.dtype) for output in spec) == tuple(expected_dtypes)
    assert [w.dtype for w in half.weights] == [w.dtype for w in layer.weights]
    rounded = [np.array(keras.ops.cast(a, b.dtype.name)) for a, b in zip(half_args, call_args, strict=True)]
    _assert_equal(outputs, _call(layer, rounded), exactly=False)
    for output, expected in zip(outputs, eager, strict=True):
        if output.dtype.kind == "f":
            np.testing.assert_allclose(output, expected, rtol=tolerance, atol=tolerance)


def _flat(outputs):
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


def _call(layer, call_args):
    return [keras.ops.convert_to_numpy(output) for output in _flat(layer(*call_args))]


def _random_weights(layer):
    rng = np.random.default_rng(1)
    return [
        rng.normal(size=w.shape).astype(w.dtype) if "float" in w.dtype else rng.integers(0, 2**31 - 1, w.shape, w.dtype)
        for w in layer.weights
    ]


def _assert_equal(actual, expected, exactly=True):
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == b.dtype
        if exactly or a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
