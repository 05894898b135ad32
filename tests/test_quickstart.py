"""The quickstart as the README gives it, from nothing to its report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.soak
def test_quickstart_recognizes_unseen_labels(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "devise_tf.train", "--flagfile=models/quickstart.flags"),
            *(f"--model_dir={tmp_path / 'run'}", f"--data_dir={tmp_path / 'data'}", "--verbose=0"),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "TF_CONFIG"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "run" / "report" / "metrics.json").read_text(encoding="utf-8"))

    unseen, all_labels = (report["labels"][setting]["candidates"] for setting in ("unseen", "unseen+seen"))
    assert all_labels >= 100
    assert unseen / all_labels == pytest.approx(0.2, abs=0.01)

    devise, chance = (report["unseen"][model]["hit@1"] for model in ("devise", "chance"))
    assert chance == pytest.approx(1 / unseen)
    assert devise >= 5 * chance
    randoms = report["seeds"]["unseen"]["random"]["hit@1"]
    assert len(randoms) == 3
    assert devise > max(randoms)
    assert devise - sum(randoms) / len(randoms) > max(randoms) - min(randoms)

    # The images are neither noise nor trivial.
    assert 0.3 < report["seen"]["softmax"]["hit@1"] < 0.98
