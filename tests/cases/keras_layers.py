"""Layers, losses, metrics and models in other Keras projects."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from devise_tf.layers import HierarchicalSoftmax, HingeRankLoss, LabelIndex
from devise_tf.metrics import HierarchicalPrecisionAtK, HitAtK
from devise_tf.packaged import packaged_path
from tests.cases.registry import Finding, case, error_of
from tests.helpers.tiny_devise import make_model

VECTORS = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
SAVED_MODEL = Path(__file__).parents[1] / "models" / "old_run" / "devise.keras"


def _softmax() -> tuple[HierarchicalSoftmax, np.ndarray, np.ndarray]:
    """A layer, inputs `[3, 2, 4]`, and the losses of every target `[3, 2, 5]`."""
    layer = HierarchicalSoftmax(counts=[50, 20, 10, 5, 1])
    inputs = np.random.default_rng(1).normal(size=(3, 2, 4)).astype("float32")
    layer(inputs[:, 0], np.array([0, 1, 2]))
    layer.nodes.assign(np.random.default_rng(2).normal(size=layer.nodes.shape))
    flat = np.asarray(layer.log_probabilities(inputs.reshape(6, 4)))
    return layer, inputs, -flat.reshape(3, 2, 5)


@case("H02", "targets `[N, 1]`, or `[N, T]` with inputs `[N, T, D]`", "taken, or an error that names the shapes")
def shapes_of_targets(folder: Path) -> Finding:
    layer, inputs, losses = _softmax()
    targets = np.array([[0, 4], [1, 2], [3, 3]])
    expected = np.take_along_axis(losses, targets[:, :, None], axis=2)[:, :, 0]
    right = [
        np.allclose(layer(inputs[:, 0], targets[:, :1]), expected[:, 0], rtol=1e-5),
        np.allclose(layer(inputs, targets), expected, rtol=1e-5),
        np.allclose(layer(inputs, targets[:, :, None]), expected, rtol=1e-5),
    ]
    error = error_of(layer, inputs, targets[:, 0])
    named = "shape (3, 2)" in error and "targets.shape=(3,)" in error
    return Finding(f"{sum(right)} of 3 shapes are taken; else: {error}", all(right) and named)


@case("B08", "`HierarchicalPrecisionAtK` with labels `[B, 1]`", "1.0 where all is right")
def precision_of_column_labels(folder: Path) -> Finding:
    metric = HierarchicalPrecisionAtK(1, [{label} for label in range(10)])
    metric.update_state(np.arange(10)[:, None], np.eye(10, dtype="float32"))
    return Finding(f"{float(metric.result()):.3g}", float(metric.result()) == 1)


@case("B10", "label -1 in layers and metrics", "an error, or no part in it")
def label_minus_one(folder: Path) -> Finding:
    labels, scores = np.array([1, -1]), np.eye(5, dtype="float32")[[1, 4]]
    layer, inputs, _ = _softmax()
    calls = {
        "HierarchicalSoftmax": (layer, inputs[:2, 0], labels),
        "HingeRankLoss": (HingeRankLoss(VECTORS), VECTORS[:2], labels),
        "HitAtK": (HitAtK(1).update_state, labels, scores),
        "HierarchicalPrecisionAtK": (
            HierarchicalPrecisionAtK(1, [{label} for label in range(5)]).update_state,
            labels,
            scores,
        ),
    }
    errors = {name: error_of(*call) for name, call in calls.items()}
    right = [name for name, error in errors.items() if "must be ids from 0 to 4" in error and "[-1]" in error]
    return Finding(f"{len(right)} of 4: {errors['HitAtK']}", len(right) == len(calls))


@case("B14", "`clone_model`, `from_config` with `HingeRankLoss` or `LabelIndex`", "an error at the first call")
def clones(folder: Path) -> Finding:
    inputs = keras.Input((4,))
    index = keras.Model(inputs, LabelIndex(3).index(VECTORS)(inputs))
    labels = keras.Input((), dtype="int32")
    loss = keras.Model([inputs, labels], HingeRankLoss(VECTORS)([inputs, labels][0], labels))
    devise = make_model()
    pixels = np.zeros((2, 8, 8, 3), "float32")
    again = type(devise).from_config(devise.get_config())
    errors = [
        error_of(keras.models.clone_model(index), VECTORS[:2]),
        error_of(keras.models.clone_model(loss), [VECTORS[:2], np.array([0, 1])]),
        error_of(HingeRankLoss.from_config(HingeRankLoss(VECTORS).get_config()), VECTORS[:2], np.array([0, 1])),
        error_of(lambda: again.loss(again(pixels), np.array([0, 1]))),
    ]
    right = sum("nothing has filled" in error for error in errors)
    return Finding(f"{right} of {len(errors)} say it: {' '.join(errors[1].split())}", right == len(errors))


@case("B20", "uint8, uint16, uint32 targets (CIFAR) in `HierarchicalSoftmax`", "the loss")
def unsigned_targets(folder: Path) -> Finding:
    layer, inputs, losses = _softmax()
    dtypes = ("uint8", "uint16", "uint32", "uint64", "int8", "int16")
    right = [
        dtype
        for dtype in dtypes
        if np.allclose(layer(inputs[:, 0], np.array([4, 0, 2], dtype)), losses[range(3), 0, [4, 0, 2]], rtol=1e-5)
    ]
    return Finding(f"right for {', '.join(right)}", len(right) == len(dtypes))


@case("B21", "labels `[B, 1]` in `HitAtK`, `HingeRankLoss`", "as `[B]`")
def column_labels(folder: Path) -> Finding:
    labels = np.array([0, 3, 2, 1])
    hits = HitAtK(1)
    hits.update_state(labels[:, None], np.eye(5, dtype="float32")[[0, 3, 2, 4]])
    loss = HingeRankLoss(VECTORS, violations="sum")
    same = np.allclose(loss(VECTORS[:4], labels[:, None]), loss(VECTORS[:4], labels))
    return Finding(
        f"hit@1 {float(hits.result()):.3g}, losses {'alike' if same else 'differ'}", same and hits.result() == 0.75
    )


@case("B26", "`load_model` of `devise.keras` in another project", "with the import that a document names")
def model_in_another_project(folder: Path) -> Finding:
    with open(packaged_path("models/devise/README.md"), encoding="utf-8") as file:
        [paragraph] = [text for text in file.read().split("\n\n") if "keras.saving.load_model(" in text]
    imports = re.findall(r"`(import devise_tf[\w.]*)`", paragraph)[:1]
    code = f"import sys, keras\n{''.join(imports)}\nprint(type(keras.saving.load_model(sys.argv[1])).__name__)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, SAVED_MODEL],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return Finding(f"{''.join(imports) or 'no import'}: {said[-1] if said else 'nothing'}", said[-1:] == ["DeViSE"])
