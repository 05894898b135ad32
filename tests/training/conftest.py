import pytest

from tests.helpers import tiny_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The inputs, and the settings of a run on one device that was never interrupted."""
    directory = tmp_path_factory.mktemp("finished_run")
    inputs = tiny_run.make_inputs(directory)
    config = tiny_run.settings(inputs, directory / "run", train_label_vectors=True)
    tiny_run.run(config)
    return inputs, config
