import shutil

import pytest

from tests.helpers import tiny_run
from tests.helpers.shared import shared


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The settings of a run on one device that was never interrupted, in a process of its own."""

    def make(directory):
        inputs = tiny_run.make_inputs(directory)
        config = tiny_run.settings(
            inputs, directory / "run", random_models=0, train_label_vectors=True,
            devise_loss="one", label_terms="first",
        )  # fmt: skip
        tiny_run.run(config)
        return config

    return shared(tmp_path_factory, "finished_run", make)


@pytest.fixture(scope="session")
def gaps_run(tmp_path_factory):
    """A whole run whose images have gaps; `fox` and `word0` are unseen.

    `fox` is in `val` alone, `word0` in `train` alone, `dog` is not in `val`; `ghost` and `oak`'s `val` are empty.
    """
    return shared(tmp_path_factory, "gaps_run", make_gaps_run)


def make_gaps_run(directory):
    inputs = tiny_run.make_inputs(directory)
    images = directory / "images"
    shutil.rmtree(images / "train" / "fox")
    shutil.copytree(images / "train" / "cat", images / "train" / "word0")
    shutil.rmtree(images / "val" / "dog")
    shutil.rmtree(images / "val" / "oak")
    for folder in ("val/oak", "val/ghost", "train/ghost"):
        (images / folder).mkdir()
    (directory / "unseen.txt").write_text("fox\nword0\n")
    config = tiny_run.settings(
        inputs,
        directory / "run",
        visual_model="alexnet_tiny",
        image_size=25,
        resize_size=27,
        cnn_epochs=0.6,
        train_label_vectors=True,
        devise_loss="one",
        label_terms="first",
        text_weight=0.0,
        text_learning_rate=0.1,
        margin=0.5,
        random_models=0,
        checkpoint_seconds=60.0,
    )
    with pytest.raises(ValueError, match="none.txt"):
        tiny_run.start_run({**config, "unseen_labels": str(directory / "none.txt")})
    assert "Seen labels" in tiny_run.start_run(config)
    return config
