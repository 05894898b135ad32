import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.models.alexnet import AlexNet, LocalResponseNormalization
from tests.helpers.fitting import assert_learns_and_is_saved


def lrn_oracle(a, size, k, alpha, beta):
    """The formula, channel by channel."""
    out = np.empty_like(a)
    channels, radius = a.shape[-1], size // 2
    for i in range(channels):
        window = a[..., max(0, i - radius) : min(channels - 1, i + radius) + 1]
        out[..., i] = a[..., i] / (k + alpha * np.sum(window**2, axis=-1)) ** beta
    return out


def activations(*shape):
    return np.random.default_rng(0).normal(0, 60, shape)


@pytest.mark.parametrize("size, channels", [(5, 9), (5, 3), (3, 4), (1, 4)])
def test_normalization_equals_the_formula(size, channels):
    a = activations(2, 3, 3, channels)
    layer = LocalResponseNormalization(size=size, k=1.5, alpha=2e-4, beta=0.6)
    np.testing.assert_allclose(layer(a.astype("float32")), lrn_oracle(a, size, 1.5, 2e-4, 0.6), rtol=1e-5)


def test_normalization_equals_tensorflow_with_gradient():
    """TensorFlow counts channels to each side (5 // 2 = 2), calls k the bias, and does not divide alpha either."""
    a = tf.constant(activations(2, 4, 4, 8), tf.float32)
    layer = LocalResponseNormalization()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(a)
        ours = layer(a)
        theirs = tf.nn.local_response_normalization(a, depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(ours, a), tape.gradient(theirs, a), rtol=1e-4, atol=1e-6)


def test_normalization_in_half_precision_does_not_overflow():
    """5 * 400 ** 2 = 800,000 is far above float16's largest number, 65,504."""
    a = np.full((1, 1, 1, 5), 400.0, "float16")
    layer = LocalResponseNormalization(dtype="mixed_float16")
    out = layer(a)
    assert out.dtype == "float16"
    np.testing.assert_allclose(out, lrn_oracle(a.astype(float), 5, 2.0, 1e-4, 0.75), rtol=2e-3)


def test_normalization_is_rebuilt_from_its_config():
    layer = LocalResponseNormalization(size=3, k=1.0, alpha=1e-3, beta=0.5)
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == "devise_tf>LocalResponseNormalization"
    assert keras.saving.deserialize_keras_object(config).get_config() == layer.get_config()
    assert layer(keras.Input((4, 4, 6))).shape == layer.compute_output_shape((None, 4, 4, 6)) == (None, 4, 4, 6)


@pytest.mark.parametrize("arguments", [{"size": 4}, {"size": 0}, {"k": 0}, {"alpha": -1}, {"beta": -0.5}])
def test_normalization_refuses_bad_arguments(arguments):
    (name, value), *_ = arguments.items()
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}={value}"):
        LocalResponseNormalization(**arguments)


@pytest.mark.parametrize("image_size", [224, 225, 227])
def test_maps_and_parameters_are_the_published_ones(image_size):
    """The paper's 60 million parameters, counted from its figure 2.

    11*11*3*96+96, 5*5*48*256+256, 3*3*256*384+384, 3*3*192*384+384, 3*3*192*256+256, 6*6*256*4096+4096,
    4096*4096+4096, 4096*1000+1000: 60,965,224 in all.
    """
    model = AlexNet(num_labels=1000, image_size=image_size)
    maps = [model.get_layer(f"convolution_{number}").output.shape[1:] for number in (1, 2, 3, 4, 5)]
    assert maps == [(55, 55, 96), (27, 27, 256), (13, 13, 384), (13, 13, 384), (13, 13, 256)]
    assert model.get_layer("pool_5").output.shape[1:] == (6, 6, 256)
    assert model.get_layer("representation").output.shape == (None, 4096)
    assert model.count_params() == 60_965_224


@pytest.mark.parametrize(
    "image_size, stride, last", [(96, 4, 2), (95, 2, 4), (64, 2, 2), (54, 2, 2), (53, 1, 4), (25, 1, 1)]
)
def test_smaller_images_get_a_smaller_stride(image_size, stride, last):
    model = AlexNet(num_labels=3, image_size=image_size, width=0.02)
    assert model.get_layer("convolution_1").strides == (stride, stride)
    assert model.get_layer("pool_5").output.shape[1:3] == (last, last)


def test_initial_deviation_is_the_published_one():
    model = AlexNet(num_labels=10, image_size=64, width=0.25)
    # Width 1/4 has 1/4 of the published inputs, so twice the published deviation of 0.01.
    np.testing.assert_allclose(np.std(model.get_layer("convolution_3").kernel), 0.02, rtol=0.03)
    np.testing.assert_allclose(np.std(model.get_layer("convolution_1").kernel), 0.01, rtol=0.05)
    biases = [np.unique(model.get_layer(f"convolution_{number}").bias).tolist() for number in (1, 2, 3, 4, 5)]
    assert biases == [[0.0], [1.0], [0.0], [1.0], [1.0]]


def test_one_group_sees_all_channels():
    joined, split = (AlexNet(4, 32, width=0.1, groups=groups).get_layer("convolution_2").kernel for groups in (1, 2))
    assert joined.shape[2] == 2 * split.shape[2]


def test_training_lowers_the_loss_and_the_saved_model_is_equal(tmp_path):
    model = AlexNet(num_labels=4, image_size=32, width=1 / 16, dropout=0.0)
    x = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype("float32")
    y = np.arange(8) % 4
    assert_learns_and_is_saved(model, keras.optimizers.Adam(1e-3), x, y, tmp_path / "model.keras")


def test_dropout_acts_on_the_representation():
    model = AlexNet(num_labels=4, image_size=32, width=0.1)
    top = keras.Model(model.input, model.get_layer("representation").output)
    x = np.full((2, 32, 32, 3), 99.0, "float32")
    assert 0.3 < np.mean(np.asarray(top(x, training=True)) == 0) < 0.8
    assert np.mean(np.asarray(top(x, training=False)) == 0) < 0.3


@pytest.mark.parametrize(
    "arguments",
    [{"num_labels": 0}, {"image_size": 24}, {"dropout": 1.0}, {"width": 0}, {"groups": 3}, {"stem_stride": 4}],
)
def test_bad_arguments_are_refused(arguments):
    (name, value), *_ = arguments.items()
    with pytest.raises(ValueError, match=rf"`{name}` must .*Received: {name}={value}"):
        AlexNet(**{"num_labels": 4, "image_size": 32, **arguments})
