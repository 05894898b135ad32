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

# How pixels are scaled, by the names of the applications that want them so.
_DEVIATIONS = r"ConvNeXt.*|DenseNet\d+|EfficientNet(V2)?B\d"
_MEANS = r"ResNet\d+|VGG\d+"
_HALVES = r"EfficientNetV2[SML]"
_UNITS = r"Inception.*|MobileNet.*|NASNet.*|ResNet\d+V2|Xception"


def application(application: str, num_labels: int, image_size: int, name: str = "application") -> keras.Model:
    """A model of `keras.applications` without its top, with random weights.

    Its average over the last map (`include_top=False, pooling="avg"`) is the top representation. Pixels are scaled as
    its `preprocess_input` has it, by layers that also stand for what some applications scale inside: one of them does
    so otherwise with its ImageNet weights than without.

    Layers have the application's names. Where Keras numbered layers through, which depends on what else the process
    has built, they are numbered by application. Batch statistics are taken over the batches of all replicas
    (`synchronized=True`), as in the other visual models.

    Args:
        application: Its name, such as `"MobileNetV3Small"`.
        num_labels: Integer >= 1, size of the output.
        image_size: Integer, height and width of the images; most need 32, some 71 or 75.
        name: Name of the model.

    Returns:
        A functional `keras.Model`.

    Input shape: `pixels`, float32 `[batch, image_size, image_size, 3]` in 0...255, red, green, blue.

    Output shape: `logits`, float32 `[batch, num_labels]`, no softmax.

    Raises:
        ValueError: There is no application of that name, or an argument is out of its range.

    Example:

    >>> model = application("MobileNetV3Small", num_labels=100, image_size=64)
    >>> model.get_layer("representation").output.shape
    (None, 576)
    """
    if num_labels < 1:
        raise ValueError(f"`num_labels` must be >= 1. Received: num_labels={num_labels}")
    own = _checked(application, image_size)

    # === Preprocessing ===
    pixels = keras.Input((image_size, image_size, 3), name="pixels", dtype="float32")
    images = pixels
    for layer in preprocessing(application):
        images = layer(images)

    # === The application's layers ===
    names = _stable_names(own)

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

    x = keras.models.clone_model(own, pixels, clone_function=clone, call_function=call).output

    # === Top ===
    x = layers.Identity(name="representation")(x)
    # float32 under every policy: the loss is taken of these.
    logits = layers.Dense(num_labels, dtype="float32", name="logits")(x)
    return keras.Model(pixels, logits, name=name)


def load_application_weights(model: keras.Model, application: str, path: str | None = None) -> None:
    """Gives a model that `application` made the application's own weights; its logits stay.

    Args:
        model: The model.
        application: Name of the application.
        path: A file of the application's weights without top (`.weights.h5`, or `.h5` as Keras publishes them);
            without one they are ImageNet's, which Keras downloads once and keeps in `~/.keras/models`.

    Raises:
        ValueError: The file does not have the application's weights, or ImageNet's cannot be had.
    """
    # No weight depends on the size; for others than this Keras warns that it has none.
    if path is None:
        try:
            own = _make(application, 224, "imagenet")
        except Exception as error:  # Keras raises a plain one where there is no network
            raise ValueError(
                f"The ImageNet weights of {application} cannot be downloaded: {' '.join(str(error).split())} Use a "
                "machine with a network, or bring the file that it names to ~/.keras/models or to `visual_weights`. "
                f"Received: visual_weights='imagenet', visual_model='keras_applications/{application}'"
            ) from error
    else:
        own = _make(application, 224, None)
        own.load_weights(path)
    copy_application_weights(own, model)


def copy_application_weights(own: keras.Model, model: keras.Model) -> None:
    """Gives a model that `application` made the weights of a model of `keras.applications`; its logits stay."""
    kept = {layer.name: layer for layer in model.layers}
    for name, stable in _stable_names(own).items():
        if stable in kept:
            kept[stable].set_weights(own.get_layer(name).get_weights())


def preprocessing(application: str) -> list[keras.Layer]:
    """The layers from pixels in 0...255, red, green, blue, to what an application's first convolution is made for."""

    def rescale(scale: float | list[float], offset: float | list[float]) -> keras.Layer:
        # float32 under every policy: half precision does not tell neighbouring shades apart.
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
        f"How keras_applications/{application} wants its pixels is not known to this version of devise_tf. "
        f"Received: {application!r} with Keras {keras.__version__}"
    )


def _checked(name: str, image_size: int) -> keras.Model:
    """The application with random weights."""
    known = sorted(name for name in dir(keras.applications) if name[0].isupper())
    if name not in known:
        # Case is what is mistaken most.
        nearest = difflib.get_close_matches(name.lower(), [name.lower() for name in known], n=1, cutoff=0.5)
        hint = [f" Did you mean {own!r}?" for own in known if nearest == [own.lower()]]
        raise ValueError(
            f"`keras_applications/NAME` must name one of {', '.join(known)}.{''.join(hint)} Received: NAME={name!r}"
        )
    try:
        return _make(name, image_size, None)
    except ValueError as error:
        raise ValueError(
            f"keras_applications/{name} cannot be built: {error} Received: image_size={image_size}"
        ) from error


def _make(name: str, image_size: int, weights: str | None) -> keras.Model:
    make = getattr(keras.applications, name)
    return make(weights=weights, include_top=False, pooling="avg", input_shape=(image_size, image_size, 3))


def _stable_names(own: keras.Model) -> dict[str, str]:
    """The names of its layers here, by those that they have."""
    names: dict[str, str] = {}
    numbers: collections.Counter[str] = collections.Counter()
    for layer in own.layers:
        # What Keras makes of a class's name where a layer is given none.
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        names[layer.name] = layer.name
        if re.fullmatch(rf"{kind}(_\d+)?", layer.name):
            numbers[kind] += 1
            names[layer.name] = f"{kind}_{numbers[kind]}"
    return names
