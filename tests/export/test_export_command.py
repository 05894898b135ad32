"""The export command."""

import os
import signal
import subprocess
import sys
import time

import pytest

from devise_tf.export import __main__ as export_command
from devise_tf.export.verify import verify
from tests.helpers.commands import call


def command(*arguments, **keywords):
    return subprocess.Popen(
        [sys.executable, "-m", "devise_tf.export", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_dir=run"], "--export_dir must name"),
        (["--export_dir=base"], "Give one of"),
        (["--export_dir=base", "--model_dir=run", "--relabel=labels.txt"], "Give one of"),
        (["--export_dir=base", "--relabel=labels.txt", "--labels_file=x"], "--labels_file does not go with"),
        (["--export_dir=base", "--relabel=labels.txt", "--k=1"], "--k does not go with"),
        (["--export_dir=base", "--model_dir=run", "--max_batch_size=4"], "need --batching"),
        (["--export_dir=base", "--litert=x", "--onnx=x"], "a file of its own"),
        (["--export_dir=base", "--model_dir=run", "--vectors=x"], "--vectors does not go with"),
        (["--export_dir=base", "--model_dir=run", "--max_bad_rows=2"], "--max_bad_rows does not go with"),
        (["--export_dir=base", "--int8=x"], "go together"),
        (["--export_dir=base", "run"], "Unexpected arguments: run; this command takes flags only."),
    ],
)
def test_conflicting_flags_are_a_usage_error(arguments, message):
    status, _, err = call(export_command.run, *arguments)
    assert status == 2 and message in err and err.count("\n") == 1


@pytest.mark.soak
def test_command_killed_during_the_check_leaves_no_version(tiny_model_dir, tmp_path):
    base = tmp_path / "base"
    arguments = [f"--model_dir={tiny_model_dir}", f"--export_dir={base}", "--k=2"]
    process = command(*arguments, start_new_session=True)
    deadline = time.monotonic() + 200
    while not list(base.glob(".tmp-*/assets.extra/devise.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert [name[:5] for name in os.listdir(base)] == [".tmp-"]
    process = command(*arguments)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert f"Exported: {base}/1" in printed
    assert verify(f"{base}/1") == 14
