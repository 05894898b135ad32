import socket

import pytest

from devise_tf.export.client import attempts


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
def tiny_model_dir(tmp_path_factory):
    """A model directory of a DeViSE model with random weights."""
    from tests.helpers.tiny_model_dir import make_model_dir

    return make_model_dir(tmp_path_factory.mktemp("tiny") / "run")


@pytest.fixture(scope="session")
def tiny_export(tiny_model_dir, tmp_path_factory):
    """A base path with one exported version, `1`. Not to be changed: copy it."""
    from devise_tf.export.build import ExportSettings, export_model

    base = tmp_path_factory.mktemp("export") / "devise"
    export_model(tiny_model_dir, str(base), ExportSettings(k=3))
    return str(base)
