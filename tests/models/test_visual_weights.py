"""Where a visual model's weights come from, and what is said of those that do not fit."""

import json
import os

import keras
import numpy as np
import pytest

from devise_tf.models.devise import DeViSE
from devise_tf.models.registry import build_visual_model, representation_model
from devise_tf.models.visual_weights import load_visual_weights
from devise_tf.models.weights_file import load_weights
from devise_tf.packaged import models_folder
from tests.helpers.visual_weights import give_values, save_model, weights_of


@pytest.mark.parametrize("num_labels", [5, 7])
@pytest.mark.parametrize("ending", [".keras", ".npz", ".weights.h5"])
def test_files_for_any_number_of_labels_are_loaded(ending, num_labels, tmp_path):
    """At another size of images, and in another precision; the logits of another number stay as they were drawn."""
    saved = give_values(build_visual_model("resnet_tiny", 7, 32, dropout=0.1))
    path = save_model(saved, str(tmp_path / f"model{ending}"))
    model = build_visual_model("resnet_tiny", num_labels, 16, "mixed_bfloat16", dropout=0.1)
    before = weights_of(model)
    assert load_visual_weights(model, "resnet_tiny", path) == 7
    expected = weights_of(saved)
    assert weights_of(model).keys() == expected.keys()
    for name, value in weights_of(model).items():
        kept = name.startswith("logits/") and num_labels == 5
        np.testing.assert_array_equal(value, before[name] if kept else expected[name], err_msg=name)


@pytest.fixture
def small_application(monkeypatch):
    """The name of one that takes no time."""

    def make(weights=None, **arguments):
        return keras.applications.MobileNet(weights=weights, alpha=0.05, **arguments)

    monkeypatch.setattr(keras.applications, "MobileNetTiny", make, raising=False)
    return "keras_applications/MobileNetTiny"


@pytest.mark.parametrize("ending", [".keras", ".npz", ".weights.h5"])
def test_files_of_an_application_are_loaded(ending, small_application, tmp_path):
    """Of the visual model made of it, and of the application itself."""
    saved = give_values(build_visual_model(small_application, 4, 32))
    path = save_model(saved, str(tmp_path / f"model{ending}"))
    model = build_visual_model(small_application, 4, 40)
    assert load_visual_weights(model, small_application, path) == 4
    for given, expected in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(given, expected)
    if ending == ".weights.h5":
        own = give_values(keras.applications.MobileNetTiny(include_top=False), seed=1)
        own.save_weights(path)
        logits = model.get_layer("logits").get_weights()
        assert load_visual_weights(model, small_application, path) == 0
        for given, expected in zip(model.get_weights(), [*own.get_weights(), *logits], strict=True):
            np.testing.assert_array_equal(given, expected)


def unreadable(path, content=b"no weights\n"):
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: "imagenet", "No ImageNet weights come with `resnet_tiny`"),
        (lambda d: "resnet.pth", r"must be 'imagenet', or a file that ends in .keras, .npz or .weights.h5"),
        (lambda d: f"{d}/none.keras", "no such file.*none.keras"),
        (lambda d: f"{d}/none.npz", "No such file.*none.npz"),
        (lambda d: unreadable(d / "text.keras"), "text.keras does not hold weights of `resnet_tiny` for images of 16"),
        (lambda d: unreadable(d / "text.weights.h5"), "text.weights.h5 does not hold weights of `resnet_tiny`"),
        (lambda d: unreadable(d / "text.npz"), "Cannot load weights: .*text.npz"),
        (
            lambda d: save_model(build_visual_model("alexnet_tiny", 5, 32), f"{d}/m.keras"),
            "m.keras does not hold weights",
        ),
        (lambda d: save_model(build_visual_model("alexnet_tiny", 5, 32), f"{d}/m.npz"), "Cannot load weights: .*m.npz"),
        (
            # A block more at the top, whose weights would be left over.
            lambda d: save_model(build_visual_model("resnet_tiny", 5, 32, blocks=(1, 2)), f"{d}/m.weights.h5"),
            "m.weights.h5 does not hold weights of `resnet_tiny` .*: it has .* weights instead of",
        ),
        (
            lambda d: save_model(
                DeViSE(representation_model(build_visual_model("resnet_tiny", 5, 16)), np.eye(3)), f"{d}/m.keras"
            ),
            "m.keras does not hold weights of `resnet_tiny` .*: it has no `logits` layer",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(make, message, tmp_path):
    model = build_visual_model("resnet_tiny", 5, 16)
    before = weights_of(model)
    with pytest.raises((ValueError, OSError), match=message) as raised:
        load_visual_weights(model, "resnet_tiny", make(tmp_path))
    assert "\n" not in str(raised.value)
    for name, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_weights_for_another_image_size_are_refused(tmp_path):
    path = save_model(build_visual_model("alexnet_tiny", 5, 64), str(tmp_path / "model.keras"))
    with pytest.raises(ValueError, match="does not hold weights of `alexnet_tiny` for images of 32 pixels"):
        load_visual_weights(build_visual_model("alexnet_tiny", 5, 32), "alexnet_tiny", path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_packaged_imagenet_weights_are_loaded(name):
    """Of 1,000 labels as they are; of others all but the logits, at another size of images."""
    folder = os.path.join(models_folder(), "efficientnet_lite")
    with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
        sha256 = json.load(file)["networks"]["softmax"]["sha256"]
    expected = build_visual_model(name, 1000, 64)
    load_weights(expected, os.path.join(folder, f"{name}.npz"), sha256)
    for num_labels in (1000, 6):
        model = build_visual_model(name, num_labels, 96)
        assert load_visual_weights(model, name, "imagenet") == 1000
        for layer in model.layers[: None if num_labels == 1000 else -1]:
            for given, wanted in zip(layer.get_weights(), expected.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(given, wanted)


def test_architectures_without_imagenet_weights_are_refused():
    model = build_visual_model("resnet_tiny", 5, 16)
    with pytest.raises(ValueError, match="No ImageNet weights come with `efficientnet_lite1`"):
        load_visual_weights(model, "efficientnet_lite1", "imagenet")
