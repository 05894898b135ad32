"""Pretrained weights for visual models, from the package, from elsewhere or from files."""

import contextlib
import functools
import math
import os
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any

import h5py
import keras
import numpy as np

from devise_tf.models.pretrained import Preset, load_preset
from devise_tf.models.registry import architecture
from devise_tf.models.weights_file import load_weights
from devise_tf.packaged import packaged_files

_TOP = "logits"
# What a damaged file raises, by where the damage is; an encrypted archive a RuntimeError, one compressed in a way this
# Python cannot read a NotImplementedError.
_DAMAGED = (ValueError, OSError, KeyError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile, zlib.error)
# How many times larger an entry of a `.npz` can be than its deflated bytes.
_INFLATION = 1032


def load_visual_weights(model: keras.Model, name: str, weights: str) -> int:
    """Loads pretrained weights into a visual model.

    If the weights are for another number of labels, the layer `logits` stays as it is. They may be for another size of
    images, unless their shapes depend on it.

    Args:
        model: Keras model. What `build_visual_model` built of `name`.
        name: String. Name of the visual model.
        weights: String. `"imagenet"` for the pretrained weights, which come with the package or are downloaded; or a
            file: `.npz` of `save_weights`, `.keras` or `.weights.h5` of a visual model of that name, or, for a model of
            Keras or KerasHub, `.weights.h5` (`.h5`) of the application or backbone.

    Returns:
        Integer. The number of labels that the weights are for; 0 if they do not include `logits`.

    Raises:
        ValueError: There are no such weights, or they are not of that model.
        OSError: The file cannot be read.
    """
    loader = architecture(name).load_weights
    load_source = loader and functools.partial(loader, model, name.partition("/")[2])
    if weights == "imagenet":
        if load_source:
            load_source()
            return 0
        preset = load_preset(name) if name in packaged_files("preset") else None
        if preset is None or preset.softmax["visual_model"] != name:
            raise ValueError(
                f"No ImageNet weights come with `{name}`: leave `visual_weights` empty, or name a file. "
                f"Received: visual_weights='imagenet', visual_model={name!r}"
            )
        return load_preset_weights(model, preset)
    if weights.endswith(".npz"):
        return _load_packed(model, _packed_labels(model, weights), weights)
    if not weights.endswith((".keras", ".h5")):
        raise ValueError(
            "`visual_weights` must be 'imagenet', or a file that ends in .keras, .npz or .weights.h5. "
            f"Received: visual_weights={weights!r}"
        )
    if not os.path.isfile(weights):
        raise FileNotFoundError(f"There is no such file. Received: visual_weights={weights!r}")
    try:
        return _load_hdf5(model, load_source, weights)
    except _DAMAGED as error:
        raise ValueError(
            f"{weights} does not hold weights of `{name}` for images of {model.input_shape[1]} pixels: "
            f"{' '.join(str(error).split())[:300]} Received: visual_weights={weights!r}, visual_model={name!r}"
        ) from error


def load_preset_weights(model: keras.Model, preset: Preset) -> int:
    """Loads the weights of a preset's softmax network into a visual model, as `load_visual_weights` does."""
    network = preset.softmax
    return _load_packed(model, preset.num_labels(), preset.file(network["weights"]), network["sha256"])


def _load_packed(model: keras.Model, num_labels: int, path: str, sha256: str = "") -> int:
    """Loads a `.npz`."""
    saved = _with_labels(model, num_labels)
    load_weights(saved, path, sha256)
    return _copy_weights(saved, model)


def _packed_labels(model: keras.Model, path: str) -> int:
    """For how many labels the weights in a `.npz` are; for a damaged file, the model's number."""
    num_labels = model.output_shape[-1]
    # `load_weights` says what is wrong with a damaged file.
    with contextlib.suppress(*_DAMAGED), zipfile.ZipFile(path) as archive:
        (stored,) = _packed_shape(archive, f"{_TOP}/bias.npy")
        features = model.get_layer(_TOP).kernel.shape[0]
        if stored >= 1 and _packed_shape(archive, f"{_TOP}/kernel.npy") == (features, stored):
            return stored
    return num_labels


def _packed_shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """The shape of an array in a `.npz`; a `ValueError` if the array cannot be in the file."""
    entry = archive.getinfo(name)
    with archive.open(entry) as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        available = min(entry.file_size - file.tell(), _INFLATION * os.path.getsize(str(archive.filename)))
    # Some dtypes have no size.
    if math.prod(shape) * max(1, dtype.itemsize) > available:
        raise ValueError(f"{name} of shape {shape} has {available} bytes.")
    return shape


def _load_hdf5(model: keras.Model, load_source: Callable[[str], None] | None, path: str) -> int:
    """Loads a `.keras`, a `.weights.h5`, or an `.h5` as Keras publishes them."""
    if path.endswith(".keras"):
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
            sizes = _sizes(file)
    else:
        sizes = _sizes(path)
    # Keras names the weights in a file by class and number of the layer.
    number = sum(isinstance(layer, keras.layers.Dense) for layer in model.layers) - 1
    top = f"layers/dense{f'_{number}' if number else ''}/vars/1"
    if top not in sizes:
        if load_source:
            load_source(path)
            return 0
        raise ValueError("it has no `logits` layer.")
    # Compared before a model of that size is made.
    num_labels, model_labels = sizes[top], model.output_shape[-1]
    top_per_label = model.get_layer(_TOP).count_params() // model_labels
    expected = model.count_params() + (num_labels - model_labels) * top_per_label
    if num_labels < 1 or sum(sizes.values()) != expected:
        raise ValueError(f"it has {sum(sizes.values())} weights instead of {expected}, for {num_labels} labels.")
    saved = _with_labels(model, num_labels)
    saved.load_weights(path)
    return _copy_weights(saved, model)


def _sizes(file: str | IO[bytes]) -> dict[str, int]:
    """The size of each weight by its path in an HDF5 file; a `ValueError` if the file has less than a header says."""
    sizes = {}

    def visit(path: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        count = 0 if item.shape is None else math.prod(item.shape)
        if count * item.dtype.itemsize > item.id.get_storage_size():
            raise ValueError(f"{path} of shape {item.shape} has {item.id.get_storage_size()} bytes.")
        if path.startswith("layers/") and "seed_generator" not in path:
            sizes[path] = count

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
    return sizes


def _with_labels(model: keras.Model, num_labels: int) -> keras.Model:
    """The same model with another number of labels."""

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        return type(layer).from_config({**config, "units": num_labels} if layer.name == _TOP else config)

    return keras.models.clone_model(model, clone_function=clone)


def _copy_weights(saved: keras.Model, model: keras.Model) -> int:
    """Copies the weights, of the top only if it has as many labels; returns the number of labels."""
    num_labels = saved.output_shape[-1]
    for source, target in zip(saved.layers, model.layers, strict=True):
        if target.name != _TOP or num_labels == model.output_shape[-1]:
            target.set_weights(source.get_weights())
    return num_labels
