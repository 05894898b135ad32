"""One device, two devices and two processes train the same models, in all phases.

On one device phase 1 is the Keras path's here, as it is on several: the fast engine takes smaller steps.
"""

import json
import socket
import sys

import pytest

from devise_tf.config import Config
from devise_tf.training import make_strategy, train
from tests.helpers import tiny_run
from tests.helpers.shared import shared
from tests.helpers.tiny_run import PHASES, read_metrics, read_report, start

# The rank loss chooses its false label by comparisons, so that a difference in the last digit could grow by jumps:
# few steps, and figures none of which lies on an edge.
TOLERANCE = 1e-4


def free_ports(count):
    """Ports that nobody listens on; they are held together so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def run_workers(config, count=2, **options):
    """Runs one process a worker; returns their statuses and outputs, the chief's first."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    processes = [
        start(
            config,
            replicas=count,
            TF_CONFIG=json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}),
            **options,
        )
        for index in range(count)
    ]
    try:
        return [tiny_run.finish(process) for process in processes]
    finally:
        for process in processes:
            process.kill()


def assert_same_run(expected_dir, actual_dir):
    expected, actual = read_metrics(expected_dir), read_metrics(actual_dir)
    assert [(line["phase"], line["step"]) for line in actual] == [(line["phase"], line["step"]) for line in expected]
    assert list(dict.fromkeys(line["phase"] for line in actual)) == list(PHASES[:4])
    for want, got in zip(expected, actual, strict=True):
        assert got == pytest.approx(want, abs=TOLERANCE), (want, got)
    # Images may change places where two scores are as good as equal; with these they do not.
    assert read_report(actual_dir) == read_report(expected_dir)


@pytest.fixture(scope="session")
def one_device(tmp_path_factory):
    """The settings of a finished run on one device."""

    def make(directory):
        # Several steps between two readings, whose sparse gradients differ in length from step to step.
        config = tiny_run.settings(
            tiny_run.make_inputs(directory), directory / "run", train_label_vectors=True, log_every=3, random_models=0,
            devise_loss="one", label_terms="first",
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "devise_tf.training.engine.skip_gram_engine", None)  # as without Numba
            train(Config(**config), make_strategy())
        return config

    return shared(tmp_path_factory, "one_device", make)


@pytest.mark.slow
def test_two_devices_equal_one(one_device, tmp_path):
    changed = {**one_device, "model_dir": str(tmp_path / "run"), "strategy": "mirrored"}
    tiny_run.run(changed, devices=2, replicas=2)
    assert_same_run(one_device["model_dir"], changed["model_dir"])


@pytest.mark.slow
def test_two_processes_equal_one(one_device, tmp_path):
    changed = {**one_device, "model_dir": str(tmp_path / "run"), "strategy": "multi_worker"}
    (chief, chief_output), (other, other_output) = run_workers(changed)
    assert chief == 0, chief_output
    assert other == 0, other_output
    assert_same_run(one_device["model_dir"], changed["model_dir"])
    assert "Seen labels" in chief_output
    # The other worker has its part in the training and leaves the printing to the chief.
    assert "Phase 1" not in other_output and "Label vectors" not in other_output and "Report" not in other_output
