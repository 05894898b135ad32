import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.models.registry import architecture
from devise_tf.models.resnet import ResNet
from tests.helpers.fitting import assert_learns_and_is_saved

ROOT = Path(__file__).resolve().parents[2]


def small(**arguments):
    return ResNet(**{"num_labels": 4, "image_size": 16, "widths": (8, 16), "blocks": (1, 1), **arguments})


def batch(size=8, image_size=16):
    x = np.random.default_rng(0).uniform(0, 255, (size, image_size, image_size, 3)).astype("float32")
    return x, np.arange(size) % 4


def test_representation_and_logits_have_the_stated_shapes():
    model = ResNet(num_labels=7, image_size=56, widths=(8, 16, 24, 32), blocks=(1, 2, 1, 1))
    assert model.input_shape == (None, 56, 56, 3)
    assert model.input.name == "pixels"
    assert model.get_layer("representation").output.shape == (None, 32)
    assert model.output_names == ["logits"]
    assert model.output_shape == (None, 7)
    maps = [model.get_layer(f"stage{stage}_block1_add").output.shape[1:] for stage in (1, 2, 3, 4)]
    assert maps == [(28, 28, 8), (14, 14, 16), (7, 7, 24), (4, 4, 32)]
    assert "stage2_block2_add" in [layer.name for layer in model.layers]


def test_preprocessing_centers_and_scales():
    model = small()
    mean = np.array([123.68, 116.78, 103.94])
    deviation = np.array([58.4, 57.1, 57.4])
    x, _ = batch()
    np.testing.assert_allclose(model.get_layer("preprocessing")(x), (x - mean) / deviation, atol=1e-5)


def test_half_precision_gives_float32_logits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = small()
    assert model.get_layer("stage2_block1_add").output.dtype == "bfloat16"
    assert model.input.dtype == model.output.dtype == "float32"


def test_training_lowers_the_loss_and_the_saved_model_is_equal(tmp_path):
    model = small(dropout=0.1)
    x, y = batch()
    assert_learns_and_is_saved(model, keras.optimizers.SGD(0.1, 0.9), x, y, tmp_path / "model.keras")


def test_synchronized_statistics_equal_plain_ones_on_one_device():
    """Eager, in a graph, and inside `strategy.run` of the default strategy and of a one-device strategy."""
    x, _ = batch()
    model = small()
    plain = small()
    for layer in plain.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = False
    plain.set_weights(model.get_weights())
    expected = np.asarray(plain(x, training=True))
    start = model.get_weights()
    forward = tf.function(lambda x: model(x, training=True))
    for call in (
        lambda x: model(x, training=True),
        forward,
        lambda x: tf.distribute.get_strategy().run(forward, args=(x,)),
        lambda x: tf.distribute.OneDeviceStrategy("/cpu:0").run(forward, args=(x,)),
    ):
        model.set_weights(start)
        np.testing.assert_allclose(call(tf.constant(x)), expected, atol=1e-4)
        for actual, wanted in zip(model.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_allclose(actual, wanted, atol=1e-4)


_TWO_DEVICES = """
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from devise_tf.models.registry import architecture
from devise_tf.models.resnet import ResNet

x = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)).astype("float32")
x[4:] *= 0.3  # the halves differ, so statistics of one half would show
def build():
    keras.utils.set_random_seed(0)
    return ResNet(num_labels=4, image_size=16, widths=(8, 16), blocks=(1, 1))
single = build()
expected = np.asarray(single(x, training=True))
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = build()
halves = strategy.experimental_distribute_values_from_function(lambda c: x[4 * c.replica_id_in_sync_group :][:4])
out = tf.function(lambda h: strategy.run(lambda h: model(h, training=True), args=(h,)))(halves)
np.testing.assert_allclose(np.concatenate(strategy.experimental_local_results(out)), expected, atol=1e-4)
for actual, wanted in zip(model.weights, single.weights):
    np.testing.assert_allclose(actual, wanted, atol=1e-4)
"""


def test_two_devices_train_like_one():
    command = [sys.executable, "-c", _TWO_DEVICES]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name, image_size", [("resnet_micro", 40), ("resnet_small", 56)])
def test_architectures_have_their_widths(name, image_size):
    model = ResNet.from_architecture(name, num_labels=5, image_size=image_size)
    assert model.get_layer("representation").output.shape == (None, architecture(name).settings["widths"][-1])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_labels": 0}, "`num_labels` must be >= 1. Received: num_labels=0"),
        ({"image_size": 3}, "`image_size` must be at least 4 for 2 stages .* Received: image_size=3"),
        ({"widths": (8,)}, r"`widths` and `blocks` must .* Received: widths=\(8,\), blocks=\(1, 1\)"),
        ({"blocks": (1, 0)}, "`widths` and `blocks` must"),
        ({"stem_stride": 0}, "`stem_stride` must be >= 1. Received: stem_stride=0"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\). Received: dropout=1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
