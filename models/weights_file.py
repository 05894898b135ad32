"""Weights of a model in a file without pickle: a `.npz` archive of named arrays."""

import hashlib
import os
import zipfile
import zlib
from typing import IO

import keras
import numpy as np

from devise_tf.files import atomic_write, read_array


def save_weights(model: keras.Model | keras.Layer, path: str | os.PathLike, dtype: str | None = None) -> str:
    """Saves a model's weights, atomically. The same weights give the same bytes.

    An entry is named by the path of its variable within the model, such as `stem_convolution/kernel`, so layers need
    different names. All weights are saved, trainable or not; states of metrics, optimizers and random draws are not.

    Args:
        model: Keras model or layer. Built.
        path: String or path. The file to write.
        dtype: String. `"float16"` or `"float32"`, in which floats are saved; by default each in its dtype.

    Returns:
        String. The file's SHA-256, 64 hexadecimal digits.

    Raises:
        ValueError: The model is not built, has two variables of one path, or has values that are not finite or too
            large for `dtype`.
        OSError: The file cannot be written; an earlier file at `path` stays as it was.
    """
    if dtype not in (None, "float16", "float32"):
        raise ValueError(f"`dtype` must be 'float16', 'float32' or None. Received: dtype={dtype!r}")
    arrays = {}
    for key, variable in _variables(model).items():
        values = keras.ops.convert_to_numpy(variable.value)
        if not np.isfinite(values.astype(_stored(variable))).all():
            raise ValueError(
                f"`{key}` has values that are not finite, which are not saved: look for where training went wrong. "
                f"Received: model={model.name!r}"
            )
        with np.errstate(over="ignore"):
            values = values.astype(dtype if dtype and _is_float(variable) else _stored(variable))
        if not np.isfinite(values).all():
            raise ValueError(f"`{key}` has values too large for {dtype}: save float32. Received: dtype={dtype!r}")
        arrays[key] = np.asarray(values, order="C")
    with atomic_write(path) as handle:
        np.savez(handle, allow_pickle=False, **arrays)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(model: keras.Model | keras.Layer, path: str | os.PathLike, sha256: str = "") -> None:
    """Loads what `save_weights` wrote into a model of the same architecture; no pickle is read.

    The file must have all weights of the model, in their shapes, and nothing else. If anything is wrong with it, the
    model stays as it was.

    Args:
        model: Keras model or layer. Built.
        path: String or path. The file to read.
        sha256: String. The file's SHA-256, compared before anything is parsed; empty for no comparison.

    Raises:
        ValueError: The file is not the one that `sha256` names, is damaged or truncated, or does not have the model's
            weights; the message says which and what to do.
        OSError: The file cannot be read.
    """
    variables = _variables(model)
    with open(path, "rb") as file:
        if sha256:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != sha256.lower():
                raise ValueError(
                    f"Cannot load weights: the file's SHA-256 is {digest}, so it is damaged or another file; get it "
                    f"again. Received: path={os.fspath(path)!r}, sha256={sha256!r}"
                )
            file.seek(0)
        try:
            arrays = _read_arrays(file, variables)
        except ValueError as error:
            raise ValueError(
                f"Cannot load weights: {error} Build the model that they were saved from, or get the file again. "
                f"Received: path={os.fspath(path)!r}"
            ) from error
        # RuntimeError and NotImplementedError: an encrypted archive, or compressed in a way this Python cannot read;
        # OSError: a damaged offset of an entry, before the start of the file.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
            raise ValueError(
                f"Cannot load weights: the archive is damaged or truncated ({error}); get it again. "
                f"Received: path={os.fspath(path)!r}"
            ) from error
    for key, variable in variables.items():
        variable.assign(arrays[key])


def _variables(model: keras.Model | keras.Layer) -> dict[str, keras.Variable]:
    """The weights by their paths within the model."""
    if not model.built:
        raise ValueError(f"`model` has no weights yet: build or call it first. Received: model={model.name!r}")
    variables = {}
    for variable in model.weights:
        # A functional model's name is not in the paths of its weights, those of other models and of layers are.
        _, inside, rest = f"/{variable.path}".partition(f"/{model.name}/")
        key = rest if inside else variable.path
        if key in variables:
            raise ValueError(
                f"`model` has two weights of the path {key!r}: give its layers different names. "
                f"Received: model={model.name!r}"
            )
        variables[key] = variable
    return variables


def _is_float(variable: keras.Variable) -> bool:
    return keras.backend.is_float_dtype(variable.dtype)


def _stored(variable: keras.Variable) -> str:
    """The dtype in a file: float32 for bfloat16, which NumPy does not have and float32 holds exactly."""
    return "float32" if variable.dtype == "bfloat16" else variable.dtype


def _read_arrays(file: IO[bytes], variables: dict[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Reads an archive's arrays; no more is unpacked than the weights take."""
    with zipfile.ZipFile(file) as archive:
        entries, names = archive.namelist(), [f"{key}.npy" for key in variables]
        missing, unexpected = sorted(set(names) - set(entries)), sorted(set(entries) - set(names))
        if sorted(entries) != sorted(names):
            raise ValueError(
                f"the file must have the model's {len(names)} weights once each and nothing else. {len(missing)} are "
                f"missing, such as {missing[:3]}; {len(unexpected)} are unexpected, such as {unexpected[:3]}."
            )
        arrays = {}
        for key, variable in variables.items():
            stored = _stored(variable)
            dtypes = dict.fromkeys(("float16", "float32", stored)) if _is_float(variable) else [stored]
            with np.errstate(over="ignore"):
                array = read_array(archive, key, list(dtypes), variable.shape).astype(stored)
            if not np.isfinite(array).all():
                raise ValueError(f"`{key}` has values that are not finite in {stored}.")
            arrays[key] = array
        return arrays
