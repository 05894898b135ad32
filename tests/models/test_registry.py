import keras
import numpy as np
import pytest

from devise_tf.models.efficientnet_lite import EfficientNetLite
from devise_tf.models.registry import (
    architectures,
    build_visual_model,
    freeze_layers,
    register,
    representation_model,
    unregister,
)
from devise_tf.models.resnet import ResNet
from devise_tf.models.visual_model import VisualModel

NAMES = [name for name in architectures() if "/" not in name and not name.endswith("_tiny")]


def models():
    # The larger ones of a family take their time to build.
    slow = {f"efficientnet_lite{number}" for number in range(1, 5)}
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in NAMES]


@pytest.mark.parametrize("name", models())
def test_every_model_keeps_the_contract(name):
    overrides = {"width": 0.05} if name == "alexnet" else {}
    model = build_visual_model(name, num_labels=6, image_size=40, **overrides)
    assert model.name == name
    assert (model.input.name, model.input.dtype, model.input_shape) == ("pixels", "float32", (None, 40, 40, 3))
    assert (model.layers[-1].name, model.output.dtype, model.output_shape) == ("logits", "float32", (None, 6))
    assert model.layers[-1].activation is keras.activations.linear
    assert len(model.get_layer("representation").output.shape) == 2
    x = np.random.default_rng(0).uniform(0, 255, (2, 40, 40, 3)).astype("float32")
    representation = representation_model(model)(x)
    np.testing.assert_allclose(model.get_layer("logits")(representation), model(x), rtol=1e-5, atol=1e-5)


def test_packaged_architectures_are_registered():
    assert {"alexnet", "efficientnet_lite4", "resnet", "resnet_micro", "resnet_small"} <= set(NAMES)
    assert {"keras_applications/NAME", "keras_hub/NAME"} <= set(architectures())


def test_architectures_are_built_until_they_are_unregistered():
    register("resnet_mine", ResNet, widths=(4, 8), blocks=(1, 1))
    try:
        assert "resnet_mine" in architectures()
        assert representation_model(build_visual_model("resnet_mine", 6, 32)).output_shape == (None, 8)
        assert build_visual_model("resnet_mine", 6, 32, widths=(4, 9)).get_layer("representation").output.shape[1] == 9
        for name in ("resnet_mine", "resnet_micro"):
            with pytest.raises(ValueError, match=f"is registered already. Received: name='{name}'"):
                register(name, ResNet)
    finally:
        unregister("resnet_mine")
    assert "resnet_mine" not in architectures()
    with pytest.raises(ValueError, match="`name` must be one of .* Received: name='resnet_mine'"):
        unregister("resnet_mine")


def test_family_refuses_architectures_of_other_families():
    assert ResNet.from_architecture("resnet_micro", 6, 32, dropout=0.1).name == "resnet_micro"
    assert VisualModel.from_architecture("keras_applications/MobileNetV3Small", 2, 32).output_shape == (None, 2)
    with pytest.raises(ValueError, match="'resnet_micro' is not one of EfficientNetLite. Received"):
        EfficientNetLite.from_architecture("resnet_micro", 6, 32)
    with pytest.raises(ValueError, match="'efficientnet_lite0' is not one of ResNet. Received"):
        ResNet.from_preset("efficientnet_lite0")


def test_representation_model_shares_its_layers():
    model = build_visual_model("resnet_micro", num_labels=6, image_size=32)
    part = representation_model(model)
    assert {id(layer) for layer in part.layers} < {id(layer) for layer in model.layers}
    assert len(part.trainable_variables) == len(model.trainable_variables) - 2


def test_overrides_replace_the_preset():
    model = build_visual_model("resnet_micro", num_labels=6, image_size=32, widths=(4, 8), blocks=(1, 1))
    assert representation_model(model).output_shape == (None, 8)


def test_unknown_name_lists_names_and_the_nearest():
    with pytest.raises(ValueError, match=r"\['alexnet', .*'resnet', .*'resnet_micro'\? Received: name='resnet_mirco'"):
        build_visual_model("resnet_mirco", num_labels=6, image_size=32)


def test_unknown_override_lists_overrides_and_the_nearest():
    with pytest.raises(ValueError, match=r"`resnet_micro` takes .*Did you mean 'dropout'\? Received: dropuot=0.1"):
        build_visual_model("resnet_micro", num_labels=6, image_size=32, dropuot=0.1)


def test_representation_model_refuses_other_models():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="dense")])
    with pytest.raises(ValueError, match=r"layer named 'representation'. Received: model with layers \['dense'\]"):
        representation_model(model)


def test_unknown_source_error_names_the_sources():
    with pytest.raises(ValueError, match="or keras_applications/NAME or keras_hub/NAME. Did you mean 'keras_applicat"):
        build_visual_model("keras_application/VGG16", num_labels=6, image_size=32)


@pytest.mark.parametrize(
    ("dtype", "compute", "stored"),
    [("mixed_bfloat16", "bfloat16", "float32"), ("float16", "float16", "float16"), (None, "float32", "float32")],
)
def test_all_layers_but_the_logits_have_the_dtype(dtype, compute, stored):
    before = keras.config.dtype_policy()
    model = build_visual_model("resnet_micro", num_labels=6, image_size=32, dtype=dtype)
    assert keras.config.dtype_policy() == before
    assert model.get_layer("stem_convolution").compute_dtype == compute
    assert model.get_layer("stem_convolution").kernel.dtype == stored
    assert representation_model(model).output.dtype == compute
    assert model.get_layer("logits").kernel.dtype == model.output.dtype == "float32"


def test_dtype_policy_is_restored_after_an_error():
    before = keras.config.dtype_policy()
    with pytest.raises(ValueError, match="image_size"):
        build_visual_model("resnet_micro", num_labels=6, image_size=1, dtype="mixed_float16")
    assert keras.config.dtype_policy() == before


def trained(model):
    return {variable.path for variable in model.trainable_variables}


@pytest.mark.parametrize("part", [lambda model: model, representation_model])
def test_layers_up_to_the_named_one_are_frozen(part):
    """Up to and with the layer; normalization in the frozen part keeps its statistics, further up it does not."""
    model = build_visual_model("resnet_micro", num_labels=6, image_size=32)
    everything = trained(part(model))
    freeze_layers(part(model), "")
    assert trained(part(model)) == everything
    freeze_layers(part(model), "stage2_block1_1_convolution")
    frozen = everything - trained(part(model))
    first = {path for path in everything if path.startswith(("stem_", "stage1_", "stage2_block1_1_"))}
    assert first <= frozen <= first | {"stage2_block1_shortcut_convolution/kernel"}
    statistics = {v.path: v.numpy() for v in model.variables if "moving" in v.path}
    model(np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32"), training=True)
    moved = {v.path for v in model.variables if "moving" in v.path and not np.array_equal(v, statistics[v.path])}
    assert moved == {path for path in statistics if not path.startswith(("stem_", "stage1_", "stage2_block1_1_"))}
    freeze_layers(part(model), "all")
    assert trained(model) == {"logits/kernel", "logits/bias"}


def test_freezing_refuses_unknown_layers_and_the_logits():
    model = build_visual_model("resnet_micro", num_labels=6, image_size=32)
    for last, hint in (("logits", ""), ("stage2_block1_convolution", " Did you mean 'stage2_block1")):
        with pytest.raises(ValueError, match=f"from 'pixels' to 'representation'.{hint}.*frozen_layers='{last}'"):
            freeze_layers(model, last)


def test_layers_within_nested_models_are_frozen():
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="low"), keras.layers.Dense(2, name="high")])
    pixels = keras.Input((3,))
    logits = keras.layers.Dense(2, name="logits")(inner(pixels))
    model = keras.Model(pixels, logits)
    freeze_layers(model, "low")
    assert [variable.path.split("/")[-2] for variable in model.trainable_variables] == ["high", "high", *["logits"] * 2]
