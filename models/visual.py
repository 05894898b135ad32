"""The visual models of the zoo, by name."""

import contextlib
import difflib
import functools
import inspect
import re
from collections.abc import Iterator

import keras

from devise_tf.models import alexnet, efficientnet_lite, keras_applications, keras_hub, resnet

BUILDERS = {
    "alexnet": alexnet.alexnet,
    "efficientnet_lite": efficientnet_lite.efficientnet_lite,
    "resnet": resnet.resnet,
}
PRESETS = {**alexnet.PRESETS, **efficientnet_lite.PRESETS, **resnet.PRESETS}
# Builders of many models, by what stands before the slash of a name; the rest is their first argument.
SOURCES = {"keras_applications": keras_applications.application, "keras_hub": keras_hub.hub_backbone}
_OWN_ARGUMENTS = ("num_labels", "image_size", "name")


def build_visual_model(
    name: str, num_labels: int, image_size: int, dtype: str | None = None, **overrides
) -> keras.Model:
    """Builds a visual model from the name of a preset or of a builder, with random weights.

    Every visual model takes `pixels`, float32 `[batch, image_size, image_size, 3]` in 0...255, has a layer
    `representation` of shape `[batch, features]`, and gives `logits`, float32 `[batch, num_labels]`, no softmax.

    Args:
        name: A key of `PRESETS`, or of `BUILDERS` for the builder's own defaults; `keras_applications/NAME` or
            `keras_hub/PRESET` for a model of Keras or KerasHub.
        num_labels: Integer >= 1, size of the output.
        image_size: Integer, height and width of the images.
        dtype: Name of the Keras dtype policy of all layers but the logits; by default Keras's global one.
        **overrides: Arguments of the builder that replace the preset's.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: `name` or an override is unknown, or the builder refuses a value.

    Example:

    >>> build_visual_model("resnet_micro", num_labels=100, image_size=40, dropout=0.2).name
    'resnet_micro'
    """
    source, _, part = name.partition("/")
    if part and source in SOURCES:
        preset, builder = {}, functools.partial(SOURCES[source], part)
    elif name in PRESETS or name in BUILDERS:
        preset = dict(PRESETS.get(name, {"builder": name}))
        builder = BUILDERS[preset.pop("builder")]
    else:
        known = sorted({*PRESETS, *BUILDERS})
        more = [f"{source}/NAME" for source in SOURCES]
        hint = _hint(name, known) or _hint(source, list(SOURCES))
        raise ValueError(f"`name` must be one of {known}, or {' or '.join(more)}.{hint} Received: name={name!r}")
    allowed = [argument for argument in inspect.signature(builder).parameters if argument not in _OWN_ARGUMENTS]
    for argument in overrides:
        if argument not in allowed:
            raise ValueError(
                f"`{name}` takes the overrides {allowed}.{_hint(argument, allowed)} "
                f"Received: {argument}={overrides[argument]!r}"
            )
    with _dtype_policy(dtype):
        # Keras allows no slash in a name.
        return builder(
            num_labels=num_labels, image_size=image_size, name=re.sub(r"\W+", "_", name), **{**preset, **overrides}
        )


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
            f"{names[0]!r} to {names[-1]!r}.{_hint(last, names)} Received: frozen_layers={last!r}"
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


def _hint(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
