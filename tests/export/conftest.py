import functools
import pathlib
import socket

import pytest

from devise_tf.export.build import ExportSettings, export_model
from devise_tf.export.client import attempts
from devise_tf.export.convert import to_litert, to_onnx
from tests.helpers.conversions import save_version
from tests.helpers.exports import checked_in_this_process
from tests.helpers.shared import shared


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


@pytest.fixture
def quick(monkeypatch):
    """Short pauses, so that tests are quick."""
    monkeypatch.setattr(attempts, "FIRST_DELAY", 0.02)


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def tiny_export(tiny_model_dir, tmp_path_factory):
    """A base path with one exported version, `1`, which was checked in a fresh process. Not to be changed: copy it."""

    def make(folder):
        export_model(tiny_model_dir, str(folder / "devise"), ExportSettings(k=3))
        return str(folder / "devise")

    return shared(tmp_path_factory, "tiny_export", make)


@pytest.fixture(scope="session")
def softmax_export(tiny_model_dir, tmp_path_factory):
    """As `tiny_export`, of the softmax."""

    def make(folder):
        with checked_in_this_process():
            export_model(tiny_model_dir, str(folder / "softmax"), ExportSettings("softmax", k=3))
        return str(folder / "softmax")

    return shared(tmp_path_factory, "softmax_export", make)


@pytest.fixture(autouse=True)
def _checked_in_this_process():
    with checked_in_this_process():
        yield


@pytest.fixture(scope="session")
def versions(tmp_path_factory):
    """A function from a family to the directory of a SavedModel of it, with random weights."""

    def make(family, folder):
        save_version(family, str(folder / "1"))
        return str(folder / "1")

    return lambda family: shared(tmp_path_factory, f"version_{family}", functools.partial(make, family))


@pytest.fixture(scope="session")
def converted(versions, tmp_path_factory):
    """A function from a family and a form to the path of a float32 file, which is alone in its folder, and what
    conversion said of it."""

    def make(family, form, folder):
        write = {"litert": to_litert, "onnx": to_onnx}[form]
        return str(folder / "model"), write(versions(family), folder / "model")

    def get(family, form):
        path, result = shared(tmp_path_factory, f"{family}_{form}", functools.partial(make, family, form))
        return pathlib.Path(path), result

    return get
