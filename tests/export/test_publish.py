"""Versions appear whole or not at all."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest

from devise_tf.export import publish as module
from devise_tf.export.publish import newest_version, next_version, publish, versions

FILES = {"saved_model.pb": "graph", "variables/data": "weights", "assets.extra/devise.json": "{}"}

# Ends the process, as a kill does, at the call of that number to anything that touches the disk: before the call,
# or after it.
KILLED = """
import os, sys
base, number, after = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "after"
calls = 0
def deadly(function):
    def call(*arguments, **keywords):
        global calls
        calls += 1
        mine = calls  # some of these functions call others
        if mine == number and not after:
            os._exit(9)
        try:
            return function(*arguments, **keywords)
        finally:
            if mine == number:
                os._exit(9)
    return call
from devise_tf.export.publish import publish
from tests.export.test_publish import write_files
for name in ("mkdir", "rename", "fsync", "open", "listdir", "close"):
    setattr(os, name, deadly(getattr(os, name)))
publish(base, lambda directory: write_files(directory, deadly(open)))
"""

MANY = """
import sys
from devise_tf.export.publish import publish
from tests.export.test_publish import write_files
for _ in range(5):
    print(publish(sys.argv[1], write_files))
"""


def write_files(directory, open_file=open):
    for name, text in FILES.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open_file(path, "w") as file:
            file.write(text)


def is_whole(version):
    paths = {name: pathlib.Path(version, name) for name in FILES}
    return {name: path.read_text() for name, path in paths.items() if path.is_file()} == FILES


def run(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd(),
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip


def finish(process):
    process.communicate()
    return process.returncode


def test_versions_count_up(tmp_path):
    base = str(tmp_path / "a" / "base")
    assert publish(base, write_files) == f"{base}/1"
    assert publish(base, write_files) == f"{base}/2"
    assert sorted(os.listdir(base)) == ["1", "2"]
    assert is_whole(f"{base}/1") and is_whole(f"{base}/2")
    assert newest_version(base) == f"{base}/2"
    assert newest_version(f"{base}/1") == f"{base}/1"


def test_any_integer_is_a_version(tmp_path):
    assert versions(["3", "007", "-2", "1_0", "x", "1.5", ".tmp-8", " 4", "٣"]) == [-2, 3, 7]
    assert next_version([]) == 1
    assert next_version(["-5"]) == 1
    assert next_version(["2", "9" * 20]) == 3  # no integer of 64 bits
    assert next_version(["2", ".7"]) == 8  # put aside, to go back
    (tmp_path / "7").write_text("a plain file")
    (tmp_path / "12").mkdir()
    assert publish(str(tmp_path), write_files) == f"{tmp_path}/13"
    assert newest_version(str(tmp_path)) == f"{tmp_path}/13"


def test_a_version_is_refused_as_base_path(tmp_path):
    version = publish(str(tmp_path), write_files)
    with pytest.raises(ValueError, match="a version itself"):
        publish(f"{version}/", write_files)
    assert is_whole(version)
    assert sorted(os.listdir(version)) == sorted({name.partition("/")[0] for name in FILES})
    assert newest_version(f"{version}/") == version


def test_base_path_without_versions_raises_an_error(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match="no exported version"):
            newest_version(str(path))


@pytest.mark.soak
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_moment_leaves_no_half_version(tmp_path, when):
    number, codes = 0, []
    while not codes or codes[-1]:
        number += 1
        base = tmp_path / str(number)
        base.mkdir()
        assert publish(str(base), write_files)
        codes.append(finish(run(KILLED, base, number, when)))
        names = os.listdir(base)
        seen = [name for name in names if name.isdecimal()]
        assert all(is_whole(base / name) for name in seen)
        assert all(name.startswith(".tmp-") for name in names if name not in seen)
        assert publish(str(base), write_files) == f"{base}/{len(seen) + 1}"
    assert set(codes[:-1]) == {9}
    assert len(codes) > 12  # steps at which it was killed


def test_failed_build_leaves_nothing(tmp_path):
    def build(directory):
        write_files(directory)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        publish(str(tmp_path), build)
    assert os.listdir(tmp_path) == []


def test_concurrent_processes_publish_whole_versions_of_their_own(tmp_path):
    processes = [run(MANY, tmp_path) for _ in range(4)]
    stop, halves, looks = threading.Event(), [], []

    def watch():
        while not stop.is_set():
            names = [name for name in os.listdir(tmp_path) if name.isdecimal()]
            halves.extend(name for name in names if not is_whole(tmp_path / name))
            looks.append(len(names))

    thread = threading.Thread(target=watch)
    thread.start()
    printed = [line for process in processes for line in process.communicate()[0].split()]
    stop.set()
    thread.join()
    assert sorted(int(os.path.basename(path)) for path in printed) == list(range(1, 21))
    assert sorted(map(int, os.listdir(tmp_path))) == list(range(1, 21))
    assert not halves
    assert len(set(looks)) > 2  # it did look while they were written


@pytest.fixture
def remote(request):
    """A base path of TensorFlow's file system in memory."""
    import tensorflow as tf

    base = f"ram://{request.node.name}/base"
    yield base, tf.io.gfile
    if tf.io.gfile.exists(base):
        tf.io.gfile.rmtree(base)


def test_a_remote_version_is_copied_with_its_graph_last(remote, monkeypatch):
    base, gfile = remote
    copied = []
    monkeypatch.setattr(gfile, "copy", lambda a, b, copy=gfile.copy: (copied.append(b), copy(a, b)))
    assert publish(base, write_files) == f"{base}/1"
    assert publish(base + "/", write_files) == f"{base}/2"
    assert copied[2] == f"{base}/1/saved_model.pb"
    assert sorted(copied[:3]) == sorted(f"{base}/1/{name}" for name in FILES)
    assert gfile.GFile(f"{base}/2/variables/data").read() == "weights"
    assert sorted(name.rstrip("/") for name in gfile.listdir(base)) == ["1", "2"]
    assert newest_version(base) == f"{base}/2"


def test_a_copy_that_fails_leaves_nothing_at_a_remote_path(remote, monkeypatch):
    base, gfile = remote
    copy = gfile.copy

    def failing(source, target):
        if target.endswith("saved_model.pb"):
            raise OSError("the connection is gone")
        copy(source, target)

    monkeypatch.setattr(gfile, "copy", failing)
    with pytest.raises(OSError, match="connection"):
        publish(base, write_files)
    assert gfile.listdir(base) == []


def test_second_publisher_at_a_remote_path_stops_cleanly(remote, monkeypatch):
    base, gfile = remote
    gfile.makedirs(base)
    with gfile.GFile(f"{base}/{module._CLAIM}1-other", "w") as file:
        file.write("")
    with pytest.raises(RuntimeError, match="Another process is publishing version 1"):
        publish(base, write_files)
    assert gfile.listdir(base) == [f"{module._CLAIM}1-other"]
    gfile.remove(f"{base}/{module._CLAIM}1-other")
    assert publish(base, write_files) == f"{base}/1"
