"""Files of weights that are damaged or promise more than they hold."""

import functools
import io
import os
import re
import zipfile

import h5py
import numpy as np
import pytest

from devise_tf.models.pretrained import Preset
from devise_tf.models.registry import build_visual_model
from devise_tf.models.visual_weights import load_visual_weights
from tests.helpers.visual_weights import save_model, weights_of


@functools.cache
def resnet():
    return build_visual_model("resnet_tiny", 5, 16)


def assert_refused(path, message):
    """With one line, which ends in what was received, and with the model as it was."""
    model = resnet()
    before = weights_of(model)
    with pytest.raises(ValueError, match=message) as raised:
        load_visual_weights(model, "resnet_tiny", path)
    assert "\n" not in str(raised.value)
    for name, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def npz_header(shape, descr="<f4"):
    """What an array of a shape begins with, and two numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(8)


@pytest.mark.parametrize("descr", ["<f4", "|S0"])
@pytest.mark.parametrize("kernel", [None, (), (0,), (16,)])
@pytest.mark.parametrize("num_labels", [10**12, 2**62, 10**7, 0, -3])
def test_headers_that_promise_more_than_the_file_has_are_refused(num_labels, kernel, descr, tmp_path):
    """They are refused before anything of that size is made: of the bias alone, and of bias and kernel."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits/bias.npy", npz_header((num_labels,), descr))
        if kernel is not None:
            archive.writestr("logits/kernel.npy", npz_header((*kernel, num_labels) if kernel else (), descr))
    assert_refused(str(path), r"^Cannot load weights: .* Received: path='.*m\.npz'$")


@pytest.mark.parametrize("num_labels", [10**10, 0])
def test_archives_that_promise_more_than_they_have_are_refused(num_labels, tmp_path):
    """Entries' sizes are as their headers say, and both are made up."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, shape in (("bias", (num_labels,)), ("kernel", (16, num_labels))):
            archive.writestr(f"logits/{name}.npy", npz_header(shape))
        for entry in archive.infolist():
            entry.file_size = 128 + 4 * num_labels * (16 if "kernel" in entry.filename else 1)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("logits/bias.npy").file_size == 128 + 4 * num_labels
    assert_refused(str(path), r"^Cannot load weights: .* Received: path='.*m\.npz'$")


@pytest.mark.parametrize("num_labels", [10**12, 10**7, 0])
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_datasets_that_promise_more_than_the_file_has_are_refused(ending, num_labels, tmp_path):
    path = str(tmp_path / f"m{ending}")
    stored = str(tmp_path / "inside.weights.h5")
    resnet().save_weights(stored)
    with h5py.File(stored, "a") as file:
        top = file["layers/dense/vars"]
        features = top["0"].shape[0]
        for name, shape in (("0", (features, num_labels)), ("1", (num_labels,))):
            del top[name]
            top.create_dataset(
                name, shape, "float32", chunks=tuple(min(n, 64) or 1 for n in shape), maxshape=(None,) * len(shape)
            )
    if ending == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(stored, "model.weights.h5")
    else:
        os.rename(stored, path)
    what = "instead of .* for 0 labels" if num_labels == 0 else r"of shape \(.*\) has 0 bytes"
    assert_refused(path, rf"{re.escape(ending)} does not hold weights of `resnet_tiny` .*{what}.* Received: visual_wei")


def damaged(path, start, stop):
    """Replaces a part of a file, in fractions of its length."""
    with open(path, "r+b") as file:
        size = os.path.getsize(path)
        file.seek(int(start * size))
        file.write(b"\xa5" * int((stop - start) * size))
    return path


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("part", range(12))
def test_damaged_files_are_refused_or_change_values_alone(ending, part, tmp_path):
    """Wherever the damage is, an error names the file, or only values are others."""
    path = damaged(save_model(resnet(), str(tmp_path / f"m{ending}")), part / 12, (part + 1) / 12)
    try:
        load_visual_weights(build_visual_model("resnet_tiny", 5, 16), "resnet_tiny", path)
    except ValueError as error:
        assert str(error).startswith(f"{path} does not hold weights of `resnet_tiny`")
    os.truncate(path, os.path.getsize(path) * part // 12)
    assert_refused(path, r"does not hold weights of `resnet_tiny`")


@pytest.mark.parametrize(("offset", "value"), [("flags", 1), ("method", 97), ("method", 8)])
def test_encrypted_and_unknown_archives_are_refused(offset, value, tmp_path):
    """The fields of all entries, in front of them and in the directory, say so; what follows is no such stream."""
    path = tmp_path / "m.keras"
    save_model(resnet(), str(path))
    content = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for result in re.finditer(re.escape(magic), bytes(content)):
            content[result.start() + flags + (0 if offset == "flags" else 2)] = value
    path.write_bytes(content)
    assert_refused(str(path), "does not hold weights of `resnet_tiny`")


def test_checksum_is_compared_before_anything_is_read(tmp_path, monkeypatch):
    """The weights that come with the package may be damaged: nothing of their headers is believed."""
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits/bias.npy", npz_header((10**12,)))
    packaged = Preset.file
    monkeypatch.setattr(Preset, "file", lambda self, name: str(path) if name.endswith(".npz") else packaged(self, name))
    model = build_visual_model("efficientnet_lite0", 5, 32)
    with pytest.raises(ValueError, match=r"the file's SHA-256 is .* Received: path='.*m\.npz', sha256="):
        load_visual_weights(model, "efficientnet_lite0", "imagenet")
