"""Models of keras.applications, all with random weights: nothing is downloaded."""

import importlib
import urllib.error

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from devise_tf.models.keras_applications import ReverseChannels, application, load_application_weights
from devise_tf.models.keras_applications.application import copy_application_weights, preprocessing
from devise_tf.models.registry import build_visual_model, representation_model

# Of ImageNet's training pixels, in 0...1.
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

# One of each way to scale pixels, and of each way to build: names, nesting, operations that are no layers.
SMALL = {"MobileNetV3Small": 40, "VGG16": 32}
FAMILIES = SMALL | {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "EfficientNetV2S": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG19": 32,
    "Xception": 71,
}


def names():
    return sorted(name for name in dir(keras.applications) if name[0].isupper())


def own_preprocessing(name):
    """The `preprocess_input` of the module that has the application."""
    module = getattr(keras.applications, name).__module__.replace("keras.src", "keras")
    return importlib.import_module(module).preprocess_input


def original(name, size):
    """The application, with random weights and the batch statistics of a few images, so that nothing dies out."""
    make = getattr(keras.applications, name)
    backbone = make(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3))
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        # Without ImageNet's weights it scales by nothing. With them and the layer behind it, it is this in effect.
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([MEAN, DEVIATION**2, np.array(0)])
            layer.finalize_state()
    backbone(own_preprocessing(name)(pixels(size, 8)), training=True)
    return backbone


def pixels(size, count=2):
    return np.random.default_rng(2).uniform(0, 255, (count, size, size, 3)).astype("float32")


def assert_near(given, expected):
    assert np.ptp(expected, axis=0).max() > 0.01 * np.abs(expected).max() > 0
    # Batch statistics of few images make much of rounding; pixels in another scale or order are far off.
    np.testing.assert_allclose(given, expected, rtol=0, atol=3e-3 * np.abs(expected).max())


def check_family(name):
    size = FAMILIES[name]
    backbone = original(name, size)
    model = application(name, num_labels=5, image_size=size)
    copy_application_weights(backbone, model)
    expected = backbone(own_preprocessing(name)(pixels(size)), training=False).numpy()
    assert_near(representation_model(model)(pixels(size), training=False).numpy(), expected)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_small_application_gives_the_outputs_of_the_original(name):
    check_family(name)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted({*FAMILIES} - {*SMALL}))
def test_every_family_gives_the_outputs_of_the_original(name):
    check_family(name)


@pytest.mark.parametrize("name", names())
def test_preprocessing_equals_that_of_every_application(name):
    """Where `preprocess_input` does nothing, the application does it inside: the families' constants, by hand."""
    given = pixels(4)
    for layer in preprocessing(name):
        given = layer(given)
    expected = own_preprocessing(name)(pixels(4))
    if np.array_equal(expected, pixels(4)):
        inside = {
            "ConvNeXt": lambda x: (x / 255 - MEAN) / DEVIATION,
            "EfficientNetB": lambda x: (x / 255 - MEAN) / DEVIATION,
            "EfficientNetV2B": lambda x: (x / 255 - MEAN) / DEVIATION,
            "EfficientNetV2": lambda x: x / 128 - 1,
            "MobileNetV3": lambda x: x / 127.5 - 1,
        }
        expected = next(scale for start, scale in inside.items() if name.startswith(start))(pixels(4))
    assert given.dtype == "float32"
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5)


def test_reverse_channels_turns_rgb_into_bgr():
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 3)).astype("float32")
    layer = ReverseChannels(name="reversed", dtype="mixed_bfloat16")
    assert layer.compute_output_shape(x.shape) == layer(keras.Input(x.shape[1:], 2)).shape == layer(x).shape
    assert layer(x).dtype == "bfloat16"
    serialized = keras.saving.serialize_keras_object(layer)
    assert serialized["registered_name"] == "devise_tf>ReverseChannels"
    assert keras.saving.deserialize_keras_object(serialized).get_config() == layer.get_config()
    np.testing.assert_array_equal(ReverseChannels()(x), np.stack([x[..., 2], x[..., 1], x[..., 0]], axis=-1))


def test_model_keeps_the_contract_and_stable_names(tmp_path):
    """The second model of a process has the names of the first; a file needs nothing but Keras."""
    models = [build_visual_model("keras_applications/MobileNetV3Small", 6, 40, "mixed_bfloat16") for _ in range(2)]
    first, second = ([weight.path for weight in model.weights] for model in models)
    assert first == second and "batch_normalization_1/gamma" not in first and "conv/kernel" in first
    assert [layer.name for layer in models[0].layers] == [layer.name for layer in models[1].layers]
    model = models[1]
    assert model.name == "keras_applications_MobileNetV3Small"
    assert (model.input.name, model.input.dtype, model.input_shape) == ("pixels", "float32", (None, 40, 40, 3))
    assert (model.layers[-1].name, model.output.dtype, model.output_shape) == ("logits", "float32", (None, 6))
    assert representation_model(model).output_shape == (None, 576)
    assert model.get_layer("preprocessing").compute_dtype == "float32"
    assert model.get_layer("conv").compute_dtype == "bfloat16" and model.get_layer("conv").kernel.dtype == "float32"
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and all(layer.synchronized for layer in norms)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(loaded(pixels(40)), model(pixels(40)))


def test_model_with_reversed_channels_is_saved(tmp_path):
    model = application("VGG16", num_labels=2, image_size=32)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(pixels(32)), model(pixels(32)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenetv3small", "`keras_applications/NAME` must name one of ConvNeXtB.*Did you mean 'MobileNetV3Small'"),
        ("ResNet-50", "Did you mean 'ResNet50'"),
        ("imagenet_utils", "must name one of .*Received: NAME='imagenet_utils'"),
        ("Xception", "keras_applications/Xception cannot be built: Input size must be at least 71x71.*image_size=40"),
    ],
)
def test_unknown_names_and_small_sizes_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        build_visual_model(f"keras_applications/{name}", num_labels=2, image_size=40)
    with pytest.raises(ValueError, match=r"takes the overrides \[\]. Received: width=0.5"):
        build_visual_model("keras_applications/VGG16", num_labels=2, image_size=40, width=0.5)


def test_application_of_an_unknown_family_is_refused(monkeypatch):
    monkeypatch.setattr(keras.applications, "MobileNetV9", keras.applications.VGG16, raising=False)
    application("MobileNetV9", num_labels=2, image_size=32)  # as its family has it
    monkeypatch.setattr(keras.applications, "NewNet", keras.applications.VGG16, raising=False)
    message = "does not know how keras_applications/NewNet wants its pixels scaled.*with Keras 3"
    with pytest.raises(ValueError, match=message):
        application("NewNet", num_labels=2, image_size=32)


def test_failed_download_error_names_the_file(monkeypatch, tmp_path):
    def no_network(*args):
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    model = application("VGG16", num_labels=2, image_size=32)
    with pytest.raises(ValueError, match="ImageNet weights of VGG16 cannot be downloaded: .*https://.*~/.keras") as e:
        load_application_weights(model, "VGG16")
    assert "\n" not in str(e.value)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV2"])
def test_published_imagenet_weights_give_the_published_outputs(name, monkeypatch, tmp_path):
    """A file such as Keras downloads, at another size of images; EfficientNet's Normalization is as published."""
    backbone = original(name, 64)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.set_weights([MEAN, DEVIATION, np.array(0)])  # the deviation, in the variance's place
    backbone.save(tmp_path / "model.h5")
    monkeypatch.setattr(file_utils, "get_file", lambda *args, **kwargs: str(tmp_path / "model.h5"))
    make = getattr(keras.applications, name)
    published = make(weights="imagenet", include_top=False, pooling="avg", input_shape=(96, 96, 3))
    expected = published(own_preprocessing(name)(pixels(96)), training=False).numpy()
    for path in (None, str(tmp_path / "model.h5")):
        model = application(name, num_labels=3, image_size=96)
        load_application_weights(model, name, path)
        assert_near(representation_model(model)(pixels(96), training=False).numpy(), expected)
