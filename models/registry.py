"""The architectures of visual models, by name.

A model folder registers those of its own in `architectures.toml`; a program registers others with `register`.
"""

import contextlib
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras

from devise_tf.choices import did_you_mean
from devise_tf.packaged import packaged_architectures

_CALLER_ARGUMENTS = ("num_labels", "image_size", "name")


class Architecture(NamedTuple):
    """A way to build visual models.

    Attributes:
        builder: Callable. Makes a functional `keras.Model` that follows the contract of `VisualModel`.
        settings: Dict. Arguments of the builder.
        load_weights: Callable. `load_weights(model, NAME, path=None)` gives a model pretrained weights, where these do
            not come as a preset; or None.
        image_size: Integer. Height and width of the images that it was published for; 0 if unknown.
    """

    builder: Callable[..., keras.Model]
    settings: dict[str, Any]
    load_weights: Callable[..., None] | None = None
    image_size: int = 0


_REGISTERED: dict[str, Architecture] = {}


def register(
    name: str, builder: Callable[..., keras.Model], load_weights: Callable[..., None] | None = None, **settings: Any
) -> None:
    """Registers an architecture.

    Args:
        name: String. With the ending `/NAME` it stands for many, such as `keras_hub/resnet_18`; what stands for NAME is
            the builder's first argument then.
        builder: Callable. As in `Architecture`; called with `num_labels`, `image_size`, `name` and the settings.
        load_weights: Callable. As in `Architecture`.
        **settings: Arguments of the builder.

    Raises:
        ValueError: The name is taken.

    Example:

    >>> register("resnet_tiny", ResNet, widths=(8, 16), blocks=(1, 1), stem_stride=2)
    >>> build_visual_model("resnet_tiny", num_labels=10, image_size=24).name
    'resnet_tiny'
    """
    if name in architectures():
        raise ValueError(f"An architecture of this name is registered already. Received: name={name!r}")
    _REGISTERED[name] = Architecture(builder, settings, load_weights)


def unregister(name: str) -> None:
    """Takes back a `register`."""
    if name not in _REGISTERED:
        raise ValueError(f"`name` must be one of {sorted(_REGISTERED)}. Received: name={name!r}")
    del _REGISTERED[name]


def architectures() -> list[str]:
    """The names of all architectures, in alphabetical order."""
    return sorted({*packaged_architectures(), *_REGISTERED})


def architecture(name: str) -> Architecture:
    """The architecture of a name; imports its folder where it comes with the package.

    Raises:
        ValueError: There is none of that name; the nearest one is suggested.
    """
    source, _, part = name.partition("/")
    known = f"{source}/NAME" if part else name
    if known in _REGISTERED:
        return _REGISTERED[known]
    entries = packaged_architectures().get(known)
    if entries is None:
        names = [name for name in architectures() if "/" not in name]
        more = [name for name in architectures() if "/" in name]
        hint = did_you_mean(name, names) or did_you_mean(source, [name.partition("/")[0] for name in more])
        raise ValueError(f"`name` must be one of {names}, or {' or '.join(more)}.{hint} Received: name={name!r}")
    module = importlib.import_module(f"devise_tf.models.{entries.pop('folder')}")
    builder = getattr(module, entries.pop("builder"))
    load_weights = getattr(module, entries.pop("load_weights")) if "load_weights" in entries else None
    image_size = entries.pop("image_size", 0)
    # TOML has lists alone.
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in entries.items()}
    return Architecture(builder, settings, load_weights, image_size)


def build_visual_model(
    name: str, num_labels: int, image_size: int, dtype: str | None = None, **overrides: Any
) -> keras.Model:
    """Builds a visual model of an architecture, with random weights; see `devise_tf.models.visual_model`.

    Args:
        name: String. One of `architectures()`; `keras_applications/NAME` or `keras_hub/NAME` for a model of Keras or
            KerasHub.
        num_labels: Integer, `>= 1`. Size of the output.
        image_size: Integer. Height and width of the images.
        dtype: String. Keras dtype policy of all layers but the logits; by default Keras's global one.
        **overrides: Arguments of the builder that replace the architecture's settings.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: `name` or an override is unknown, or the builder refuses a value.

    Example:

    >>> build_visual_model("resnet_micro", num_labels=100, image_size=40, dropout=0.2).name
    'resnet_micro'
    """
    builder, settings, *_ = architecture(name)
    part = name.partition("/")[2]
    allowed = [argument for argument in inspect.signature(builder).parameters if argument not in _CALLER_ARGUMENTS]
    allowed = allowed[1:] if part else allowed
    for argument in overrides:
        if argument not in allowed:
            raise ValueError(
                f"`{name}` takes the overrides {allowed}.{did_you_mean(argument, allowed)} "
                f"Received: {argument}={overrides[argument]!r}"
            )
    with _dtype_policy(dtype):
        # Keras allows no slash in a name.
        own = {"num_labels": num_labels, "image_size": image_size, "name": re.sub(r"\W+", "_", name)}
        return builder(*([part] if part else []), **own, **{**settings, **overrides})


def load_network(path: str, visual_model: str = "") -> keras.Model:
    """Loads a saved network of a run: a visual model, or a model that has one.

    Args:
        path: String. A `.keras` file.
        visual_model: String. The name of its architecture, whose folder is imported: Keras must know the layers that
            are defined there. Those of an architecture that is not registered must be imported already.

    Returns:
        The `keras.Model`, not compiled.
    """
    with contextlib.suppress(ValueError):
        architecture(visual_model)
    return keras.models.load_model(path, compile=False)


def representation_model(model: keras.Model) -> keras.Model:
    """The part of a visual model up to its top representation; layers and weights are shared, not copied.

    Args:
        model: A model with a layer named `representation`, as `build_visual_model` gives.

    Returns:
        A functional `keras.Model` from `pixels` to `[batch, features]`.

    Raises:
        ValueError: The model has no such layer.

    Example:

    >>> model = build_visual_model("resnet_micro", num_labels=100, image_size=40)
    >>> representation_model(model).output_shape
    (None, 128)
    """
    names = [layer.name for layer in model.layers]
    if "representation" not in names:
        raise ValueError(f"`model` must have a layer named 'representation'. Received: model with layers {names}")
    top = model.get_layer("representation").output
    return keras.Model(model.input, top, name=f"{model.name}_representation")


def freeze_layers(model: keras.Model, last: str) -> None:
    """Freezes a visual model from the pixels up to a layer; batch normalization that is frozen keeps its statistics.

    Args:
        model: A visual model, or its part up to the representation. Its layers' `trainable` is set.
        last: Name of the last layer to freeze, in the order of `model.summary(expand_nested=True)`; `"all"` for
            everything below `logits`; empty for none.

    Raises:
        ValueError: There is no layer of that name below `logits`; the nearest one is suggested.

    Example:

    >>> model = build_visual_model("resnet_micro", num_labels=100, image_size=40)
    >>> freeze_layers(model, "all")
    >>> [variable.path for variable in model.trainable_variables]
    ['logits/kernel', 'logits/bias']
    """
    layers = [layer for layer in _leaves(model) if layer.name != "logits"]
    names = [layer.name for layer in layers]
    if last not in ("", "all", *names):
        raise ValueError(
            f"`frozen_layers` must be empty, 'all', or the name of a layer of {model.name} below its logits, from "
            f"{names[0]!r} to {names[-1]!r}.{did_you_mean(last, names)} Received: frozen_layers={last!r}"
        )
    if last:
        for layer in layers if last == "all" else layers[: names.index(last) + 1]:
            layer.trainable = False


def _leaves(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


@contextlib.contextmanager
def _dtype_policy(dtype: str | None) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
