"""What the tests of evaluations share."""

import shutil

import pytest

from tests.helpers.evaluation_case import PARENTS, write_images
from tests.helpers.tiny_model_dir import LABELS


@pytest.fixture(scope="session")
def made(tmp_path_factory, tiny_model_dir):
    """A model directory `run`, images that no resizing changes, and a list of parents."""
    folder = tmp_path_factory.mktemp("evaluation")
    shutil.copytree(tiny_model_dir, folder / "run")
    with open(folder / "run" / "flags.txt", "a") as file:
        file.write(f"--images=folder:{folder / 'images'}\n--seed=3\n")
    write_images(folder / "images", LABELS)
    (folder / "parents.txt").write_text(PARENTS)
    return folder


@pytest.fixture
def case(made, tmp_path):
    """A copy of all to change, with a report that must stay as it is."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    flags = (tmp_path / "run" / "flags.txt").read_text()
    (tmp_path / "run" / "flags.txt").write_text(flags.replace(str(made), str(tmp_path)))
    (tmp_path / "run" / "report").mkdir()
    (tmp_path / "run" / "report" / "metrics.json").write_text('{"old": true}')
    (tmp_path / "run" / "report" / "index.html").write_text("old")
    return tmp_path
