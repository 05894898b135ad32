import collections
import difflib
import re
from typing import Any

import keras
from keras import layers

from devise_tf.models.keras_applications.reverse_channels import ReverseChannels

# Of ImageNet's training pixels: red, green, blue in 0...1 (Torch), blue, green, red in 0...255 (Caffe).
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)

# How pixels are scaled, by patterns of the names of applications.
_DEVIATIONS = r"ConvNeXt.*|DenseNet\d+|EfficientNet(V2)?B\d"
_MEANS = r"ResNet\d+|VGG\d+"
_HALVES = r"EfficientNetV2[SML]"
_UNITS = r"Inception.*|MobileNet.*|NASNet.*|ResNet\d+V2|Xception"


def application(application: str, num_labels: int, image_size: int, name: str = "application") -> keras.Model:
    """A model of `keras.applications` without its top, with random weights.

    The average over its last map (`include_top=False, pooling="avg"`) is the top representation. Pixels are scaled as
    by its `preprocess_input`. The layers that do it also replace the scaling inside of some applications, one of which
    scales differently with ImageNet weights than without.

    Layers have the application's names. Keras numbers layers without a name across the whole process; here the numbers
    start anew in each application, so that names do not depend on what else was built. Batch statistics are taken over
    the batches of all replicas (`synchronized=True`), as in the other visual models.

    Args:
        application: String. Name of the application, such as `"MobileNetV3Small"`.
        num_labels: Integer, `>= 1`. Size of the output.
        image_size: Integer. Height and width of the images; most need at least 32, some 71 or 75.
        name: String. Name of the model.

    Returns:
        A functional `keras.Model`.

    Input shape:
        `pixels`, float32 `[batch, image_size, image_size, 3]` in 0...255, red, green, blue.

    Output shape:
        `logits`, float32 `[batch, num_labels]`, no softmax.

    Raises:
        ValueError: There is no application of that name, or an argument is out of range.

    Example:

    >>> model = application("MobileNetV3Small", num_labels=100, image_size=64)
    >>> model.get_layer("representation").output.shape
    (None, 576)
    """
    if num_labels < 1:
        raise ValueError(f"`num_labels` must be >= 1. Received: num_labels={num_labels}")
    original = _checked_original(application, image_size)

    # === Preprocessing ===
    pixels = keras.Input((image_size, image_size, 3), name="pixels", dtype="float32")
    images = pixels
    for layer in preprocessing(application):
        images = layer(images)

    # === The application's layers ===
    names = _stable_names(original)

    def clone(operation: Any) -> Any:
        config = operation.get_config()
        if isinstance(operation, keras.Layer):  # else a bare operation, such as a sum
            config["name"] = names[operation.name]
        if isinstance(operation, layers.BatchNormalization):
            config["synchronized"] = True
        return type(operation).from_config(config)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, (layers.Rescaling, layers.Normalization)):
            return args[0]
        args, kwargs = keras.tree.map_structure(lambda x: images if x is pixels else x, (args, kwargs))
        return operation(*args, **kwargs)

    x = keras.models.clone_model(original, pixels, clone_function=clone, call_function=call).output

    # === Top ===
    x = layers.Identity(name="representation")(x)
    # float32 under every policy: the loss is taken of these.
    logits = layers.Dense(num_labels, dtype="float32", name="logits")(x)
    return keras.Model(pixels, logits, name=name)


def load_application_weights(model: keras.Model, application: str, path: str | None = None) -> None:
    """Loads an application's weights into a model that `application` built; the logits stay as they are.

    Args:
        model: Keras model. Built by `application`.
        application: String. Name of the application.
        path: String. File of the application's weights without top (`.weights.h5`, or `.h5` as Keras publishes them).
            By default the weights are ImageNet's, which Keras downloads once and stores in `~/.keras/models`.

    Raises:
        ValueError: The file does not have the application's weights, or ImageNet's cannot be downloaded.
    """
    # No weight depends on the size; at sizes other than this Keras warns that it has no weights.
    if path is None:
        try:
            original = _original(application, 224, "imagenet")
        except Exception as error:  # Keras raises a plain one where there is no network
            raise ValueError(
                f"The ImageNet weights of {application} cannot be downloaded: {' '.join(str(error).split())} Use a "
                "machine with a network, or bring the file that it names to ~/.keras/models or to `visual_weights`. "
                f"Received: visual_weights='imagenet', visual_model='keras_applications/{application}'"
            ) from error
    else:
        original = _original(application, 224, None)
        original.load_weights(path)
    copy_application_weights(original, model)


def copy_application_weights(original: keras.Model, model: keras.Model) -> None:
    """Copies the weights of a model of `keras.applications` into one that `application` built, all but the logits."""
    layers_by_name = {layer.name: layer for layer in model.layers}
    for name, stable in _stable_names(original).items():
        if stable in layers_by_name:
            layers_by_name[stable].set_weights(original.get_layer(name).get_weights())


def preprocessing(application: str) -> list[keras.Layer]:
    """The layers that scale pixels, red, green, blue in 0...255, for an application's first convolution."""

    def rescale(scale: float | list[float], offset: float | list[float]) -> keras.Layer:
        # float32 under every policy: half precision does not tell neighboring shades apart.
        return layers.Rescaling(scale, offset, name="preprocessing", dtype="float32")

    if re.fullmatch(_DEVIATIONS, application):
        scale = [1 / (255 * deviation) for deviation in _DEVIATION]
        return [rescale(scale, [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)])]
    if re.fullmatch(_MEANS, application):
        return [ReverseChannels(name="reversed", dtype="float32"), rescale(1.0, [-mean for mean in _CAFFE_MEAN])]
    if re.fullmatch(_HALVES, application):
        return [rescale(1 / 128, -1.0)]
    if re.fullmatch(_UNITS, application):
        return [rescale(1 / 127.5, -1.0)]
    raise ValueError(
        f"This version of devise_tf does not know how keras_applications/{application} wants its pixels scaled. "
        f"Received: {application!r} with Keras {keras.__version__}"
    )


def _checked_original(name: str, image_size: int) -> keras.Model:
    """The application with random weights."""
    known = sorted(name for name in dir(keras.applications) if name[0].isupper())
    if name not in known:
        # Most mistakes are in the case of letters.
        nearest = difflib.get_close_matches(name.lower(), [name.lower() for name in known], n=1, cutoff=0.5)
        hint = [f" Did you mean {other!r}?" for other in known if nearest == [other.lower()]]
        raise ValueError(
            f"`keras_applications/NAME` must name one of {', '.join(known)}.{''.join(hint)} Received: NAME={name!r}"
        )
    try:
        return _original(name, image_size, None)
    except ValueError as error:
        raise ValueError(
            f"keras_applications/{name} cannot be built: {error} Received: image_size={image_size}"
        ) from error


def _original(name: str, image_size: int, weights: str | None) -> keras.Model:
    make = getattr(keras.applications, name)
    return make(weights=weights, include_top=False, pooling="avg", input_shape=(image_size, image_size, 3))


def _stable_names(original: keras.Model) -> dict[str, str]:
    """The names that layers get here, by those that they have."""
    names: dict[str, str] = {}
    numbers: collections.Counter[str] = collections.Counter()
    for layer in original.layers:
        # The name that Keras derives from the class of a layer without one.
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        names[layer.name] = layer.name
        if re.fullmatch(rf"{kind}(_\d+)?", layer.name):
            numbers[kind] += 1
            names[layer.name] = f"{kind}_{numbers[kind]}"
    return names
