"""Backbones of KerasHub, from a preset directory that the test makes: nothing is downloaded."""

import sys

import keras
import keras_hub
import numpy as np
import pytest

from devise_tf.models.keras_hub import hub_backbone, load_hub_weights
from devise_tf.models.registry import build_visual_model, freeze_layers, representation_model
from devise_tf.models.visual_weights import load_visual_weights
from devise_tf.models.weights_file import save_weights

SCALE, OFFSET = (0.02, 0.01, 0.03), (-1.5, -2.0, -1.0)


def convolutional():
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )


def transformer(size=32):
    return keras_hub.models.ViTBackbone(
        image_shape=(size, size, 3),
        patch_size=(8, 8),
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    )


def save_preset(directory, backbone, converter):
    backbone.save_to_preset(str(directory))
    if converter is not None:
        converter.save_to_preset(str(directory))
    return str(directory)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A backbone with batch statistics of its own, and its preset's directory."""
    backbone = convolutional()
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([w + np.linspace(0, 0.2, w.size) for w in layer.get_weights()])
    converter = keras_hub.layers.ResNetImageConverter(image_size=(224, 224), scale=SCALE, offset=OFFSET)
    return backbone, save_preset(tmp_path_factory.mktemp("preset"), backbone, converter)


def pixels(size, count=2):
    return np.random.default_rng(2).uniform(0, 255, (count, size, size, 3)).astype("float32")


@pytest.mark.parametrize("source", ["preset", "file"])
def test_representation_is_that_of_the_backbone_and_its_converter(source, resnet):
    """Averaged over the map; images keep their size, at which neither preset nor weights were made."""
    backbone, preset = resnet
    model = build_visual_model(f"keras_hub/{preset}", num_labels=6, image_size=40)
    assert (model.input.name, model.input.dtype, model.input_shape) == ("pixels", "float32", (None, 40, 40, 3))
    assert (model.layers[-1].name, model.output.dtype, model.output_shape) == ("logits", "float32", (None, 6))
    logits = model.get_layer("logits").get_weights()
    expected = backbone(pixels(40) * np.float32(SCALE) + np.float32(OFFSET)).numpy().mean(axis=(1, 2))
    assert not np.allclose(representation_model(model)(pixels(40)), expected, rtol=0.1)
    load_hub_weights(model, preset, f"{preset}/model.weights.h5" if source == "file" else None)
    np.testing.assert_allclose(representation_model(model)(pixels(40)), expected, rtol=1e-4, atol=1e-5)
    for kept, before in zip(model.get_layer("logits").get_weights(), logits, strict=True):
        np.testing.assert_array_equal(kept, before)
    freeze_layers(model, "stack0_block0_1_bn")
    frozen = [layer.name for layer in model.get_layer("backbone").layers if not layer.trainable]
    assert "conv1_conv" in frozen and frozen[-1] == "stack0_block0_1_bn"
    freeze_layers(model, "all")
    assert len(model.trainable_variables) == 2


def test_saved_model_is_loaded_without_the_preset(resnet, tmp_path):
    model = build_visual_model(f"keras_hub/{resnet[1]}", 6, 40, "mixed_bfloat16")
    assert model.get_layer("representation").compute_dtype == "bfloat16"
    assert model.get_layer("preprocessing").compute_dtype == "float32"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(pixels(40)), model(pixels(40)))


@pytest.mark.parametrize("ending", [".keras", ".npz", ".weights.h5"])
def test_weights_are_loaded_by_name_and_from_files(ending, resnet, tmp_path):
    """The preset's own, under whatever name the flag has for them; the backbone's; those of the visual model."""
    backbone, preset = resnet
    name, path = f"keras_hub/{preset}", str(tmp_path / f"model{ending}")
    model = build_visual_model(name, num_labels=6, image_size=40)
    for weights in ("imagenet", f"{preset}/model.weights.h5"):
        model.set_weights([0 * weight for weight in model.get_weights()])
        assert load_visual_weights(model, name, weights) == 0
        for given, expected in zip(model.get_weights(), backbone.get_weights(), strict=False):
            np.testing.assert_array_equal(given, expected)
    if ending == ".npz":
        save_weights(model, path)
    elif ending == ".keras":
        model.save(path)
    else:
        model.save_weights(path)
    other = build_visual_model(name, num_labels=6, image_size=32)
    assert load_visual_weights(other, name, path) == 6
    for given, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(given, expected)


def test_tokens_are_averaged(tmp_path):
    backbone = transformer()
    converter = keras_hub.layers.ViTImageConverter(scale=1 / 127.5, offset=-1.0)
    preset = save_preset(tmp_path, backbone, converter)
    model = hub_backbone(preset, num_labels=3, image_size=32)
    load_hub_weights(model, preset)
    expected = backbone(pixels(32) / np.float32(127.5) - 1).numpy().mean(axis=1)
    np.testing.assert_allclose(representation_model(model)(pixels(32)), expected, rtol=1e-4, atol=1e-5)
    other = hub_backbone(preset, num_labels=3, image_size=48)
    assert other.input_shape == (None, 48, 48, 3)
    with pytest.raises(ValueError, match="KerasHub cannot make the Backbone of this preset: .*'image_shape': .48, 48"):
        load_hub_weights(other, preset)


@pytest.mark.parametrize(
    ("converter", "message"),
    [
        (None, "KerasHub cannot make the ImageConverter of this preset: `image_converter.json` doesn't exist"),
        (keras_hub.layers.ResNetImageConverter(), None),
    ],
)
def test_preset_without_scaling_keeps_pixels_or_is_refused(converter, message, tmp_path):
    preset = save_preset(tmp_path, convolutional(), converter)
    if message is None:
        scaling = hub_backbone(preset, num_labels=2, image_size=32).get_layer("preprocessing")
        assert (scaling.scale, scaling.offset) == (1.0, 0.0)
    else:
        with pytest.raises(ValueError, match=message):
            hub_backbone(preset, num_labels=2, image_size=32)


def test_missing_presets_are_named(tmp_path):
    with pytest.raises(ValueError, match="KerasHub cannot make the ImageConverter .*Received: keras_hub/resnet_1_none"):
        build_visual_model("keras_hub/resnet_1_none", num_labels=2, image_size=32)
    with pytest.raises(ValueError, match="has no config.json"):
        build_visual_model(f"keras_hub/{tmp_path}", num_labels=2, image_size=32)


def test_missing_keras_hub_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ValueError, match=r"needs the package keras-hub \(pip install keras-hub\)"):
        build_visual_model("keras_hub/resnet_18_imagenet", num_labels=2, image_size=32)
