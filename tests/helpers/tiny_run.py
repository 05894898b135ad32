"""A whole run that takes seconds: a few small pictures, a few hundred lines of text, a resnet; and its subprocesses."""

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tests.helpers.tiny_architectures  # noqa: F401  registers them
from devise_tf.config import Config
from devise_tf.training import make_strategy, train

SEEN = ("cat", "dog", "oak", "pine", "rose")
UNSEEN = ("fox",)
PHASES = ("skip_gram", "cnn", "devise_projection", "devise", "random_0_projection", "random_0")

SECONDS = 240  # any run here takes a tenth of this on an idle machine

# Runs `train` and not the command line, for the few settings that no flag has.
SCRIPT = """
import json, os, sys
options = json.loads(sys.argv[1])
if not options["numba"]:
    sys.modules["numba"] = None
import tensorflow as tf
if options["devices"] > 1:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * options["devices"])
from devise_tf.config import Config
from devise_tf.training import make_strategy, train
from tests.helpers.tiny_run import KillAt, one_step_at_once
if options["numba"]:
    one_step_at_once()
config = Config(**options["config"])
strategy = make_strategy(config.strategy)
assert strategy.num_replicas_in_sync == options["replicas"]
train(config, strategy, [KillAt(config.model_dir, *options["kill_at"])] if options["kill_at"] else [])
"""


def make_inputs(directory, images=12, lines=400, seed=0):
    """Writes images and text into a directory.

    Args:
        directory: `pathlib.Path`.
        images: Images of each label.
        lines: Lines of text, of eight words each.
        seed: Of pictures and text.

    Returns:
        A dict of the settings that name them.
    """
    rng = np.random.default_rng(seed)
    labels = [*SEEN, *UNSEEN]
    for split, count in (("train", images), ("val", 4)):
        for number, label in enumerate(labels):
            folder = directory / "images" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 80, (20, 22, 3)) + 30 * number * np.array([1, 0, 0]) + 20 * (number % 3)
                Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / f"{i}.png")
    words = np.array([*labels, *(f"word{i}" for i in range(40))])
    chances = 1 / np.arange(4, 4 + len(words))
    text = rng.choice(words, (lines, 8), p=chances / chances.sum())
    (directory / "text.txt").write_text("".join(" ".join(line) + "\n" for line in text))
    (directory / "unseen.txt").write_text("".join(f"{label}\n" for label in UNSEEN))
    return {
        "corpus": str(directory / "text.txt"),
        "images": f"folder:{directory / 'images'}",
        "unseen_labels": str(directory / "unseen.txt"),
    }


def settings(inputs, model_dir, **changes):
    """The settings of a run of a few steps a phase, each of whose steps is logged."""
    return {
        **inputs,
        "model_dir": str(model_dir),
        "dimension": 8,
        "window": 3,
        "min_count": 2,
        "sample": 0.0,
        "skip_gram_epochs": 2.0,
        "skip_gram_batch_size": 2,
        "skip_gram_threads": 1,
        "image_size": 16,
        "resize_size": 18,
        "visual_model": "resnet_tiny",
        "cnn_epochs": 1.5,
        "cnn_batch_size": 12,
        "cnn_learning_rate": 0.02,
        "devise_batch_size": 12,
        "projection_epochs": 1.2,
        "finetune_epochs": 1.2,
        "random_models": 1,
        "log_every": 1,
        "checkpoint_seconds": 0.0,
        "verbose": 0,
    } | changes


def environment(**changes):
    """The environment of a subprocess: this checkout, the CPU, no cluster."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return {**kept, "PYTHONPATH": root, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", **changes}


def start(config, devices=1, replicas=1, kill_at=None, numba=True, **variables):
    """Starts a run in a process of its own; `devices` logical CPUs; `kill_at` as `KillAt` takes it."""
    options = {"config": config, "devices": devices, "replicas": replicas, "kill_at": kill_at, "numba": numba}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(options)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, seconds=SECONDS):
    """Waits for a process; returns its status and what it printed. A process that hangs is killed and fails."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"Still running after {seconds} s:\n{process.communicate()[0]}") from None
    return process.returncode, output


def run(config, **options):
    status, output = finish(start(config, **options))
    assert status == 0, output
    return output


def start_run(config):
    """Runs in this process; returns the tables."""
    return train(Config(**config), make_strategy())


class Killed(BaseException):
    """Nothing catches it: `finally` blocks aside, the process might as well have been killed."""


def killed_run(config, kill, monkeypatch):
    """Runs in this process until `kill`, as `KillAt` takes it."""

    def raise_killed():
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        callback = KillAt(config["model_dir"], *kill, kill=raise_killed, setattr=patch.setattr)
        train(Config(**config), make_strategy(), [callback])


def read_metrics(model_dir):
    with open(os.path.join(model_dir, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_report(model_dir):
    """The figures of a run's report."""
    with open(os.path.join(model_dir, "report", "metrics.json"), encoding="utf-8") as file:
        report = json.load(file)
    return {name: report[name] for name in ("seen", "unseen", "unseen+seen", "images", "labels")}


def one_step_at_once(setattr=setattr):
    """Has the fast engine take steps one by one: a tiny run is over before it would be asked for its metrics."""
    from devise_tf.training.engine.engine_steps import EngineSteps

    setattr(EngineSteps, "words_at_once", 1)


class KillAt(keras.callbacks.Callback):
    """Kills its process without any farewell when a phase has logged a step.

    Args:
        model_dir: The run's directory.
        phase: Name of the phase.
        step: The step.
        when: `"after"` the step's checkpoint, or `"before"` it, when the step's metrics are written already.
        kill: What is called to kill it.
        setattr: What replaces an attribute of TensorFlow's.
    """

    def __init__(self, model_dir, phase, step, when="after", kill=None, setattr=setattr):
        super().__init__()
        self.model_dir, self.goal = model_dir, (phase, step)
        self.kill = kill or (lambda: os.kill(os.getpid(), signal.SIGKILL))
        if when == "before":
            save = tf.train.CheckpointManager.save
            setattr(tf.train.CheckpointManager, "save", lambda *args, **kwargs: self._check() or save(*args, **kwargs))
        else:
            self.on_train_batch_end = lambda batch, logs=None: self._check()

    def _check(self):
        newest = read_metrics(self.model_dir)[-1]
        if (newest["phase"], newest["step"]) == self.goal:
            self.kill()


class Interrupt(keras.callbacks.Callback):
    """Stops a run after some readings of the metrics, as Ctrl-C does."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
