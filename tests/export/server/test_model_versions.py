import os
import shutil
import threading
import time

import numpy as np
import pytest
from tensorflow_serving.apis import prediction_log_pb2

from devise_tf.export.server.loaded_version import LoadedVersion
from devise_tf.export.server.model_versions import ModelVersions, VersionStatus
from devise_tf.export.server.request_error import RequestError
from devise_tf.export.signatures import WARMUP_FILE
from tests.helpers.clients import until
from tests.helpers.queue_model import cut, make_version, warmup_log

X = np.array([1.0], np.float32)


@pytest.fixture
def base(tmp_path):
    return str(tmp_path / "base")


@pytest.fixture
def follow(base):
    """Follows the base path quickly."""
    started = []

    def start(wait_for_version=False, **settings):
        versions = ModelVersions(base, "m", **{"poll_seconds": 0.02, **settings})
        started.append(versions)
        versions.start(wait_for_version)
        return versions

    yield start
    for versions in started:
        assert versions.stop(10.0)


def _y(versions, number=None):
    with versions.acquire("m", number) as version:
        return version.run(version.signatures["serving_default"], {"x": X})["y"].tolist()


def _states(versions):
    return {status.number: status.state for status in versions.statuses()}


def test_the_newest_version_is_served(base, follow):
    for number in (9, 10):
        make_version(base, number)
    for other in ("11x", "-12", "v13", ".tmp-14", "1_5", "１６", str(2**63)):
        os.mkdir(os.path.join(base, other))
    versions = follow()
    assert versions.served == 10 and _y(versions) == [11.0] and _y(versions, 10) == [11.0]
    assert versions.statuses() == [VersionStatus(10, "AVAILABLE")]


def test_new_version_replaces_the_old_one(base, follow):
    make_version(base, 1)
    versions = follow()
    assert _y(versions) == [2.0]
    make_version(base, 2)
    until(lambda: versions.served == 2)
    assert _y(versions) == [3.0]
    until(lambda: _states(versions) == {2: "AVAILABLE", 1: "END"})
    assert versions.statuses(1) == [VersionStatus(1, "END", "OK", "")]
    with pytest.raises(RequestError, match=r"Specific\(m, 1\)"):
        _y(versions, 1)


def test_a_version_is_unloaded_after_its_last_request(base, follow):
    make_version(base, 1)
    versions = follow()
    with versions.acquire("m") as old:
        make_version(base, 2)
        until(lambda: versions.served == 2)
        time.sleep(0.1)  # some polls
        assert _states(versions) == {2: "AVAILABLE", 1: "UNLOADING"}
        # It is not given to others, and goes on for the one who has it.
        assert _y(versions) == [3.0]
        assert old.run(old.signatures["serving_default"], {"x": X})["y"].tolist() == [2.0]
    until(lambda: _states(versions) == {2: "AVAILABLE", 1: "END"})


def test_no_request_fails_while_versions_change(base, follow):
    make_version(base, 1)
    versions = follow()
    answers, stop = [[] for _ in range(4)], threading.Event()

    def ask(series):
        while not stop.is_set():
            series += _y(versions)

    threads = [threading.Thread(target=ask, args=(series,)) for series in answers]
    for thread in threads:
        thread.start()
    until(lambda: all(answers))
    for number in (2, 3):
        make_version(base, number)
        until(lambda number=number: all(series and series[-1] == number + 1 for series in answers))
    stop.set()
    for thread in threads:
        thread.join()
    for series in answers:
        assert sorted(set(series)) == [2.0, 3.0, 4.0] and series == sorted(series)


@pytest.mark.parametrize(
    ("damage", "code", "message"),
    [
        (lambda base: os.mkdir(f"{base}/2"), "UNKNOWN", "SavedModel file does not exist at"),
        (lambda base: open(f"{base}/2", "w").close(), "UNKNOWN", "SavedModel file does not exist at"),
        (lambda base: make_version(base, 2, prepare=cut("saved_model.pb", 100)), "UNKNOWN", "Cannot parse file"),
        (
            lambda base: make_version(base, 2, [warmup_log("serving_default")], cut(WARMUP_FILE, 40)),
            "DATA_LOSS",
            "truncated",
        ),
        (lambda base: make_version(base, 2, [warmup_log("fail")]), "INVALID_ARGUMENT", "Warm-up request 1 of "),
        (lambda base: make_version(base, 2, [warmup_log("nothing")]), "FAILED_PRECONDITION", '"nothing" not found'),
        (
            lambda base: make_version(base, 2, [warmup_log("serving_default")] * 1001),
            "INVALID_ARGUMENT",
            "maximum (1000)",
        ),
    ],
    ids=["empty", "a file", "graph", "warm-up file", "warm-up request", "warm-up signature", "warm-up count"],
)
def test_broken_version_leaves_the_old_one_in_place(base, follow, damage, code, message):
    make_version(base, 1)
    versions = follow()
    damage(base)
    (status,) = until(lambda: [status for status in versions.statuses(2) if status.state == "END"])
    assert status.code == code and message in status.message
    assert _states(versions) == {2: "END", 1: "AVAILABLE"} and _y(versions) == [2.0]
    # A better one takes over.
    make_version(base, 3)
    until(lambda: versions.served == 3)
    assert _y(versions) == [4.0]


def test_warmup_is_replayed_before_a_version_is_served(base, follow, monkeypatch):
    ran = []
    run = LoadedVersion.run

    def note(self, *arguments):
        ran.append((self.number, versions.served))
        return run(self, *arguments)

    monkeypatch.setattr(LoadedVersion, "run", note)
    make_version(base, 1, [warmup_log("serving_default"), warmup_log("release"), prediction_log_pb2.PredictionLog()])
    versions = ModelVersions(base, "m", 0.02)
    versions.start()
    assert ran == [(1, None)] * 2  # a record of no known kind is passed over
    make_version(base, 2, [warmup_log("serving_default")])
    until(lambda: versions.served == 2)
    assert ran == [(1, None)] * 2 + [(2, 1)]
    assert versions.stop(1.0)


def test_failed_version_is_retried(base, follow):
    make_version(base, 1)
    versions = follow(retry_seconds=0.1)
    os.mkdir(f"{base}/2")
    until(lambda: _states(versions).get(2) == "END")
    make_version(f"{base}/.elsewhere", 2)
    for name in ("variables", "saved_model.pb"):
        if os.path.exists(f"{base}/.elsewhere/2/{name}"):
            os.rename(f"{base}/.elsewhere/2/{name}", f"{base}/2/{name}")
    until(lambda: versions.served == 2)
    assert _y(versions) == [3.0] and versions.statuses(2) == [VersionStatus(2, "AVAILABLE")]


def test_failed_version_is_retried_a_limited_number_of_times(base, follow, monkeypatch):
    make_version(base, 1)
    tried = []
    load = ModelVersions._load

    def note(self, number, path):
        tried.append(number)
        load(self, number, path)

    monkeypatch.setattr(ModelVersions, "_load", note)
    versions = follow(retry_seconds=0.0)
    os.mkdir(f"{base}/2")
    until(lambda: tried.count(2) == 6)
    time.sleep(0.2)
    assert tried == [1] + [2] * 6 and versions.served == 1
    # When it is gone and comes back, it is another one.
    os.rmdir(f"{base}/2")
    time.sleep(0.1)
    make_version(base, 2)
    until(lambda: versions.served == 2)


def test_after_removal_of_a_version_the_next_newest_is_served(base, follow):
    for number in (1, 2):
        make_version(base, number)
    versions = follow()
    assert versions.served == 2
    shutil.rmtree(f"{base}/2")
    until(lambda: _states(versions) == {2: "END", 1: "AVAILABLE"})
    assert _y(versions) == [2.0]
    shutil.rmtree(f"{base}/1")
    until(lambda: _states(versions) == {2: "END", 1: "END"})
    with pytest.raises(RequestError, match=r"Latest\(m\)") as caught:
        _y(versions)
    assert caught.value.code == "NOT_FOUND" and versions.served is None
    make_version(base, 1)
    until(lambda: _states(versions) == {2: "END", 1: "AVAILABLE"})
    assert _y(versions) == [2.0]


def test_unreadable_base_path_changes_nothing(base, follow):
    make_version(base, 1)
    versions = follow()
    os.rename(base, f"{base}-away")
    time.sleep(0.2)
    assert _y(versions) == [2.0] and _states(versions) == {1: "AVAILABLE"}
    make_version(f"{base}-away", 2)
    os.rename(f"{base}-away", base)
    until(lambda: versions.served == 2)


def test_missing_model_and_version_are_not_found(base, follow):
    make_version(base, 1)
    versions = follow()
    for arguments, code, message in [
        (("other",), "NOT_FOUND", "Servable not found for request: Latest(other)"),
        (("m", 7), "NOT_FOUND", "Servable not found for request: Specific(m, 7)"),
        (("m", 0), "NOT_FOUND", "Servable not found for request: Specific(m, 0)"),
        (("m", None, "stable"), "INVALID_ARGUMENT", "Unrecognized servable version label: stable"),
        (("",), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    ]:
        with pytest.raises(RequestError) as caught, versions.acquire(*arguments):
            pass
        assert (caught.value.code, str(caught.value)) == (code, message)


def test_starting_without_a_version_fails_unless_told_to_wait(base, follow, tmp_path):
    with pytest.raises(FileNotFoundError, match="base path does not exist.*Received: .*base"):
        follow()
    os.mkdir(base)
    with pytest.raises(ValueError, match="There is no version under the base path.*Received: .*base"):
        follow()
    os.mkdir(f"{base}/3")
    with pytest.raises(ValueError, match="Version 3 cannot be served: UNKNOWN: OSError: SavedModel file does not"):
        follow()
    shutil.rmtree(base)
    make_version(str(tmp_path), 1)
    os.rename(tmp_path / "1", base)
    with pytest.raises(ValueError, match="This is a version itself; give the directory above it"):
        follow()
    shutil.rmtree(base)
    versions = follow(wait_for_version=True)
    assert versions.served is None and versions.statuses() == []
    make_version(base, 4)
    until(lambda: versions.served == 4)
    assert _y(versions) == [5.0]


def test_stopping_waits_for_requests_until_the_timeout(base, follow):
    make_version(base, 1)
    versions = follow()
    with versions.acquire("m") as version:
        start = time.monotonic()
        assert not versions.stop(0.2)
        assert time.monotonic() - start >= 0.2
        assert version.run(version.signatures["serving_default"], {"x": X})["y"].tolist() == [2.0]
    with pytest.raises(RequestError, match="Latest"):
        _y(versions)
    assert versions.stop(0.0)
    assert _states(versions) == {1: "END"}


def test_stopping_while_a_version_is_loaded(base, follow, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr("devise_tf.export.server.model_versions.replay_warmup", lambda version: go_on.wait(20))
    make_version(base, 1)
    versions = follow(wait_for_version=True)
    until(lambda: _states(versions) == {1: "LOADING"})
    assert not versions.stop(0.1)
    go_on.set()
    until(lambda: _states(versions) == {1: "END"})
    assert versions.served is None and versions.stop(10.0)


def test_old_statuses_are_forgotten(base, follow):
    make_version(base, 1)
    versions = follow()
    for number in range(2, 300):
        versions._set_status(VersionStatus(number, "END"))
    known = _states(versions)
    assert len(known) == 100 and known[1] == "AVAILABLE" and 299 in known and 2 not in known
