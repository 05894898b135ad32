import types
from typing import Any

import keras
from keras import layers


def hub_backbone(preset: str, num_labels: int, image_size: int, name: str = "hub_backbone") -> keras.Model:
    """A backbone of KerasHub for images, with random weights.

    The average over its last map or its tokens is the top representation. The scale and offset of the preset's
    `ImageConverter` are used; its resizing is not, since images already have the size `image_size`.

    Args:
        preset: String. Name of a KerasHub preset, such as `"resnet_18_imagenet"`, or a preset's local directory with
            `config.json` and `image_converter.json`, which needs no network.
        num_labels: Integer, `>= 1`. Size of the output.
        image_size: Integer. Height and width of the images.
        name: String. Name of the model.

    Returns:
        A functional `keras.Model`, in which the backbone is one layer.

    Input shape:
        `pixels`, float32 `[batch, image_size, image_size, 3]` in 0...255, red, green, blue.

    Output shape:
        `logits`, float32 `[batch, num_labels]`, no softmax.

    Raises:
        ValueError: keras-hub is not installed, or the preset is not available or not one for images only.
    """
    if num_labels < 1:
        raise ValueError(f"`num_labels` must be >= 1. Received: num_labels={num_labels}")
    converter = _from_preset("layers", "ImageConverter", preset)
    backbone = _backbone(preset, image_size)
    shapes = [tensor.shape for tensor in (*backbone.inputs, *backbone.outputs)]
    takes_images = len(shapes) == 2 and len(shapes[0]) == 4 and shapes[0][-1] == 3 and len(shapes[1]) in (3, 4)
    if not takes_images or type(converter).call is not _keras_hub(preset).layers.ImageConverter.call:
        raise ValueError(
            "The preset must be a backbone from images [batch, height, width, 3], only rescaled, to a map or tokens. "
            f"Received: keras_hub/{preset}, {type(converter).__name__}, inputs and outputs {shapes}"
        )

    # === Preprocessing ===
    pixels = keras.Input((image_size, image_size, 3), name="pixels", dtype="float32")
    # float32 under every policy: half precision does not tell neighboring shades apart.
    x = layers.Rescaling(
        _plain(converter.scale, 1.0), _plain(converter.offset, 0.0), name="preprocessing", dtype="float32"
    )(pixels)

    # === Backbone and top ===
    # Kept as one layer: not all of its layers can be built again from their configs.
    x = backbone(x)
    pooling = layers.GlobalAveragePooling2D if len(x.shape) == 4 else layers.GlobalAveragePooling1D
    x = pooling(name="representation")(x)
    # float32 under every policy: the loss is taken of these.
    logits = layers.Dense(num_labels, dtype="float32", name="logits")(x)
    return keras.Model(pixels, logits, name=name)


def load_hub_weights(model: keras.Model, preset: str, path: str | None = None) -> None:
    """Loads pretrained weights into the backbone of a model that `hub_backbone` built; the logits stay as they are.

    Args:
        model: Keras model. Built by `hub_backbone`.
        preset: String. The preset that it was built of.
        path: String. File of the backbone's weights (`.weights.h5`); by default the preset's weights.

    Raises:
        ValueError: The weights are not available, or are not the backbone's.
    """
    backbone = _backbone(preset, model.input_shape[1], load_weights=path is None)
    if path is not None:
        backbone.load_weights(path)
    model.get_layer("backbone").set_weights(backbone.get_weights())


def _backbone(preset: str, image_size: int, load_weights: bool = False) -> keras.Model:
    arguments = {"load_weights": load_weights, "name": "backbone", "dtype": keras.config.dtype_policy().name}
    backbone = _from_preset("models", "Backbone", preset, **{**arguments, "load_weights": False})
    # Transformers have position embeddings for a fixed number of patches.
    if backbone.input_shape[1] not in (None, image_size):
        arguments["image_shape"] = (image_size, image_size, 3)
    elif not load_weights:
        return backbone
    return _from_preset("models", "Backbone", preset, **arguments)


def _from_preset(module: str, kind: str, preset: str, **arguments: Any) -> Any:
    try:
        return getattr(getattr(_keras_hub(preset), module), kind).from_preset(preset, **arguments)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise ValueError(
            f"KerasHub cannot make the {kind} of this preset: {' '.join(str(error).split())[:500]} Give the name of a "
            "preset, which is downloaded, or a local preset directory for images. "
            f"Received: keras_hub/{preset}, {arguments}"
        ) from error


def _keras_hub(preset: str) -> types.ModuleType:
    try:
        import keras_hub
    except ImportError as error:
        raise ValueError(
            f"keras_hub/{preset} needs the package keras-hub (pip install keras-hub), which cannot be imported: "
            f"{error}. Received: keras_hub/{preset}"
        ) from error
    return keras_hub


def _plain(values: Any, default: float) -> float | list[float]:
    """A converter's scale or offset as plain numbers, which a config can hold."""
    if values is None:
        return default
    return [float(value) for value in values] if hasattr(values, "__len__") else float(values)
