"""Runs that are killed go on as if nothing had happened; runs of one seed are equal."""

import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.config import Config
from devise_tf.training import make_strategy, train
from devise_tf.training.replica_steps import sum_rows
from tests.helpers import tiny_run
from tests.helpers.tiny_run import Killed, read_metrics, read_report, settings


def read(directory, name):
    with open(os.path.join(directory, name), "rb") as file:
        return file.read()


def assert_equal_runs(expected_dir, actual_dir):
    """Equal to the last bit: on a CPU nothing here depends on the order of threads."""
    assert read_metrics(actual_dir) == read_metrics(expected_dir)
    for name in ("vocabulary.txt", "corpus.ids", "vectors.bin", "trained_vectors.bin"):
        assert read(actual_dir, name) == read(expected_dir, name), name
    assert read_report(actual_dir) == read_report(expected_dir)


@pytest.mark.slow
def test_run_killed_in_every_phase_equals_an_uninterrupted_one(finished_run, tmp_path, monkeypatch):
    """In the middle of each phase, with and without a checkpoint of the last step logged; once the process is killed.

    The run that it equals had a process of its own, so that a seed is all that a run depends on.
    """
    tiny_run.one_step_at_once(monkeypatch.setattr)
    config = {**finished_run, "model_dir": str(tmp_path / "run")}
    kills = (
        ("skip_gram", 3, "after"),
        ("cnn", 4, "before"),
        ("devise_projection", 2, "before"),
        ("devise", 3, "after"),
        ("devise", 6, "after"),  # the last step: only the model's file is missing
    )
    for kill in kills:
        if kill[0] == "cnn":
            status, output = tiny_run.finish(tiny_run.start(config, kill_at=kill))
            assert status == -signal.SIGKILL, output
        else:
            tiny_run.killed_run(config, kill, monkeypatch)
        last = read_metrics(config["model_dir"])[-1]
        assert (last["phase"], last["step"]) == kill[:2]
    train(Config(**config), make_strategy())
    assert_equal_runs(finished_run["model_dir"], config["model_dir"])


def test_seed_decides_the_losses(tmp_path):
    inputs = tiny_run.make_inputs(tmp_path)
    losses = []
    for seed in (0, 1, 1):
        config = settings(inputs, tmp_path / f"run{len(losses)}", phase="skip_gram", seed=seed)
        train(Config(**config), make_strategy())
        losses.append([line["loss"] for line in read_metrics(config["model_dir"])])
    assert losses[0] != losses[1]
    assert losses[1] == losses[2]


def kill_at_files(config, monkeypatch):
    """Runs until the end, killed just before and just after each file gets its final name; returns the files' names."""
    replace = os.replace
    done = []
    while True:
        for after in (False, True):
            struck = []

            def strike(source, target, after=after, struck=struck, done=tuple(done)):
                name = os.path.basename(target)
                if name in done or name == "metrics.jsonl":
                    return replace(source, target)
                if after:
                    replace(source, target)
                struck.append(name)
                raise Killed(name)

            with monkeypatch.context() as patch:
                patch.setattr(os, "replace", strike)
                try:
                    train(Config(**config), make_strategy())
                except Killed:
                    pass
            if not struck:
                return done
        done += struck


def test_phase_1_killed_at_every_file_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    inputs = tiny_run.make_inputs(tmp_path)
    config = settings(inputs, tmp_path / "run", phase="skip_gram")
    names = kill_at_files(config, monkeypatch)
    assert {"flags.txt", "vocabulary.txt", "corpus.ids", "corpus.ids.json", "vectors.bin"} <= set(names)
    expected = settings(inputs, tmp_path / "expected", phase="skip_gram")
    train(Config(**expected), make_strategy())
    assert read_metrics(config["model_dir"]) == read_metrics(expected["model_dir"])
    for name in ("vocabulary.txt", "corpus.ids", "vectors.bin"):
        assert read(config["model_dir"], name) == read(expected["model_dir"], name), name


@pytest.mark.soak
def test_run_killed_at_every_file_equals_an_uninterrupted_one(finished_run, tmp_path, monkeypatch):
    """In this process; the run that it equals had one of its own, so that a seed is all that a run depends on."""
    tiny_run.one_step_at_once(monkeypatch.setattr)
    config = {**finished_run, "model_dir": str(tmp_path / "run")}
    names = kill_at_files(config, monkeypatch)
    assert {"cnn.keras", "devise_projection.keras", "devise.keras", "trained_vectors.bin", "metrics.json"} <= set(names)
    assert_equal_runs(finished_run["model_dir"], config["model_dir"])
    # Nothing temporary is left where Python had the time to clean up.
    assert [name for name in os.listdir(config["model_dir"]) if name.startswith(".") or name.endswith("tmp")] == []


def test_damaged_encoded_text_is_made_again(tmp_path):
    """A `corpus.ids` of another length than its description says, and one without a description."""
    inputs = tiny_run.make_inputs(tmp_path)
    config = settings(inputs, tmp_path / "run", phase="skip_gram")
    train(Config(**config), make_strategy())
    whole = read(config["model_dir"], "corpus.ids")
    for damage in ("short", "alone"):
        os.remove(tmp_path / "run" / "vectors.bin")
        if damage == "short":
            (tmp_path / "run" / "corpus.ids").write_bytes(whole[:100])
        else:
            os.remove(tmp_path / "run" / "corpus.ids.json")
        train(Config(**config), make_strategy())
        assert read(config["model_dir"], "corpus.ids") == whole


def test_rows_of_sparse_gradients_are_summed_in_one_order():
    """A scatter of rows that repeat gives other last digits each time; the loop sums a row's parts before it."""
    rng = np.random.default_rng(0)
    values = tf.constant(rng.standard_normal((20000, 50)), tf.float32)
    rows = tf.constant((rng.random(20000) ** 3 * 500).astype("int32"))

    @tf.function
    def gradient():
        return sum_rows(tf.IndexedSlices(values, rows, tf.constant([500, 50])))

    first = gradient()
    assert len(set(first.indices.numpy().tolist())) == len(first.indices)
    for _ in range(5):
        np.testing.assert_array_equal(gradient().values, first.values)
    expected = np.zeros((500, 50))
    np.add.at(expected, rows.numpy(), values.numpy().astype("float64"))
    np.testing.assert_allclose(tf.convert_to_tensor(first), expected, rtol=1e-4, atol=1e-3)
