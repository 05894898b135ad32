import glob
import json
import os

import pytest

from devise_tf.config import Config, Settings
from devise_tf.files import atomic_path
from devise_tf.model_dir import ModelDir
from devise_tf.training import make_strategy, train
from tests.helpers import tiny_run
from tests.helpers.tiny_run import settings


def test_atomic_path_shows_whole_files_only(tmp_path):
    path = tmp_path / "folder" / "model.keras"
    with pytest.raises(RuntimeError), atomic_path(str(path)) as temporary:
        assert temporary.endswith(".keras")
        with open(temporary, "w") as file:
            file.write("half")
        raise RuntimeError
    assert os.listdir(path.parent) == []
    with atomic_path(str(path)) as temporary:
        with open(temporary, "w") as file:
            file.write("whole")
        assert not path.exists()
    assert os.listdir(path.parent) == ["model.keras"]
    assert path.read_text() == "whole"


def test_other_flags_are_named(tmp_path):
    model_dir = ModelDir(str(tmp_path / "new"))
    model_dir.bind_flags({"seed": 0, "corpus": "a b.txt", "missing": None})
    model_dir.bind_flags({"seed": 0, "corpus": "a b.txt", "missing": None})
    with pytest.raises(ValueError) as error:
        model_dir.bind_flags({"seed": 1, "corpus": "a b.txt", "more": True})
    message = str(error.value)
    assert "--seed=0 (now --seed=1)" in message
    assert "--more not set (now --more=True)" in message
    assert "--missing= (now not set)" in message
    assert "corpus" not in message
    assert "\n" not in message


def test_directory_gives_settings_models_and_missing_entries(tmp_path):
    model_dir = ModelDir(str(tmp_path / "run"))
    with pytest.raises(ValueError, match="must be the directory of a run .*Received: model_dir="):
        model_dir.config  # noqa: B018
    assert not model_dir.is_run and model_dir.models() == [] and not (tmp_path / "run").exists()
    model_dir.bind_flags({"image_size": 24, "model_dir": "elsewhere", "unknown": 1})
    assert ModelDir(str(tmp_path / "run")).config == Settings(image_size=24, model_dir=model_dir.directory)
    (tmp_path / "run" / "flags.txt").write_text("--image_size=x\n")
    with pytest.raises(ValueError, match="run/flags.txt: `image_size` must be of type int"):
        ModelDir(str(tmp_path / "run")).config  # noqa: B018
    for name, phase in (("vectors.bin", "skip_gram"), ("cnn.keras", "cnn"), ("l2.keras", "devise")):
        with pytest.raises(ValueError, match=f"{name} is missing: run --phase={phase} in that directory first"):
            model_dir.needed(name)
    for name in ("l2", "cnn"):
        (tmp_path / "run" / model_dir.model_file(name)).touch()
    assert model_dir.models() == ["cnn", "l2"]


def test_model_dir_must_be_named():
    with pytest.raises(ValueError, match="`model_dir` must name a directory"):
        ModelDir("")


def test_other_settings_are_refused_and_free_ones_accepted(tmp_path):
    """Another seed is refused before anything is touched; how a run is watched may change."""
    inputs = tiny_run.make_inputs(tmp_path)
    config = settings(inputs, tmp_path / "run", phase="skip_gram")
    train(Config(**config), make_strategy())
    before = {path: os.stat(path).st_mtime_ns for path in glob.glob(f"{tmp_path}/run/*")}
    with pytest.raises(ValueError, match=r"holds a run with other flags: --seed=0 \(now --seed=3\)\. Repeat"):
        train(Config(**{**config, "seed": 3}), make_strategy())
    assert {path: os.stat(path).st_mtime_ns for path in glob.glob(f"{tmp_path}/run/*")} == before
    train(Config(**{**config, "log_every": 7, "checkpoint_seconds": 9.0}), make_strategy())
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["phase"] == "skip_gram"


def test_flags_of_earlier_names_are_read(tmp_path):
    """Directories of before hold `--labels=FILE`: they are read, and their runs resumed."""
    (tmp_path / "flags.txt").write_text("--labels=words.txt\n--seed=3\n")
    run = ModelDir(str(tmp_path))
    assert run.flags == {"labels_file": "words.txt", "seed": "3"}
    assert run.config.labels_file == "words.txt"
    run.bind_flags({"labels_file": "words.txt", "seed": 3})
    with pytest.raises(ValueError, match="other flags: --labels_file=words.txt .now --labels_file=more.txt."):
        ModelDir(str(tmp_path)).bind_flags({"labels_file": "more.txt", "seed": 3})


def test_penalties_are_numbers_by_model(tmp_path):
    model_dir = ModelDir(str(tmp_path))
    assert model_dir.penalties() == {}
    model_dir.write_penalties({"devise": 0.25, "conse": 0})
    assert json.loads((tmp_path / "penalties.json").read_text()) == {"devise": 0.25, "conse": 0}
    assert model_dir.penalties() == {"devise": 0.25, "conse": 0}
    for content in (
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[0.1]",
        b'{"devise": "0.1"}',
        b'{"devise": -1}',
        b'{"devise": NaN}',
    ):
        (tmp_path / "penalties.json").write_bytes(content)
        with pytest.raises(
            ValueError, match="penalties.json must hold a finite number.*or delete the file. Received: b"
        ):
            model_dir.penalties()
