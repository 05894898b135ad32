import pytest

from tests.helpers import tiny_run
from tests.helpers.shared import shared


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The settings of a run on one device that was never interrupted, in a process of its own."""

    def make(directory):
        inputs = tiny_run.make_inputs(directory)
        config = tiny_run.settings(inputs, directory / "run", train_label_vectors=True)
        tiny_run.run(config)
        return config

    return shared(tmp_path_factory, "finished_run", make)
