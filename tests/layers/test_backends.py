"""Layers, losses and metrics belong to Keras, not to one of its backends."""

import ast
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = [ROOT / "devise_tf" / name for name in ("layers", "losses", "metrics")]
FILES = [ROOT / "devise_tf/label_ids.py", *sorted(path for folder in FOLDERS for path in folder.glob("*.py"))]

# What each backend needs; Keras's NumPy backend borrows from JAX.
BACKENDS = {"jax": "jax", "numpy": "jax", "torch": "torch"}

FORWARD_PASSES = """
import sys
import keras
import numpy as np
from devise_tf.layers import HierarchicalSoftmax, HingeRankLoss, LabelIndex
from devise_tf.losses import l2_label_loss, label_softmax_loss
from devise_tf.metrics import HierarchicalPrecisionAtK, HitAtK
from keras.ops import convert_to_numpy as numpy

inputs = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
layer = HierarchicalSoftmax([5, 2, 1, 0])
layer(inputs, np.arange(4))
layer.nodes.assign(np.random.default_rng(1).normal(size=(3, 3)))
log_probabilities = numpy(layer.log_probabilities(inputs))
np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), 1, rtol=1e-5)
np.testing.assert_allclose(numpy(layer(inputs, np.arange(4))), -np.diag(log_probabilities), rtol=1e-5)

embeddings, labels = np.array([[1.0, 2.0]], "float32"), np.array([0])
for violations in ("one", "sum", "hardest"):
    loss = HingeRankLoss(np.eye(2), violations=violations)(embeddings, labels)
    np.testing.assert_allclose(numpy(loss), [1.1], rtol=1e-6)

cosines = np.array([1, 2]) / np.sqrt(5)
loss = label_softmax_loss(embeddings, labels, np.eye(2, dtype="float32"), temperature=0.5)
np.testing.assert_allclose(numpy(loss), [np.log(np.exp(cosines / 0.5).sum()) - cosines[0] / 0.5], rtol=1e-5)

scores, ids = LabelIndex(2).index(np.eye(3), [7, 8, 9])(np.array([[0.1, 0.3, 0.2]], "float32"))
assert numpy(ids).tolist() == [[8, 9]] and "int32" in str(ids.dtype)

hits = HitAtK(2)
hits.update_state(np.array([2, 0]), np.array([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], "float32"))
assert float(hits.result()) == 0.5
precision = HierarchicalPrecisionAtK(2, [{0, 1}, {0, 1}, {2}])
precision.update_state(np.array([2, 0]), np.array([[0.1, 0.7, 0.2], [0.1, 0.7, 0.0]], "float32"))
assert float(precision.result()) == 0.75

def refused(call, message):
    try:
        call()
    except ValueError as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)

for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"):
    targets = np.arange(4, dtype=dtype)
    for given in (targets, targets[:, None]):
        np.testing.assert_allclose(numpy(layer(inputs, given)), -np.diag(log_probabilities), rtol=1e-5)
        hits = HitAtK(1)
        hits.update_state(given, np.eye(4, dtype="float32"))
        assert float(hits.result()) == 1
sequences = numpy(layer(inputs.reshape(2, 2, 3), np.arange(4).reshape(2, 2)))
np.testing.assert_allclose(sequences, -np.diag(log_probabilities).reshape(2, 2), rtol=1e-5)

for outside in (-1, 4, 2**32 + 1):
    refused(lambda: HitAtK(1).update_state(np.array([outside]), np.eye(4)[:1]), "must be ids from 0 to 3")
for outside in (-1, 4):
    refused(lambda: layer(inputs, np.array([0, outside, 0, 0])), "must be ids from 0 to 3")
    refused(lambda: HingeRankLoss(np.eye(4))(np.eye(4)[:1], np.array([outside])), "must be ids from 0 to 3")
if keras.backend.backend() == "jax":
    import jax
    losses = jax.jit(lambda labels: l2_label_loss(np.ones((3, 2), "float32"), labels, np.eye(2, dtype="float32")))
    np.testing.assert_array_equal(losses(np.array([0, -1, 2])), [1, np.nan, np.nan])

for name in ("one", "sum", "hardest"):
    for label in (0, 1):
        loss = HingeRankLoss(np.eye(2), violations=name)(embeddings * np.nan, np.array([label]))
        assert np.isnan(numpy(loss)).all()
empty = HingeRankLoss(num_labels=2, dimension=2, violations="sum")
refused(lambda: empty(embeddings, labels), "`label_vectors` must be given")
empty.set_weights([np.eye(2)])
np.testing.assert_allclose(numpy(empty(embeddings, labels)), [1.1], rtol=1e-6)
refused(lambda: LabelIndex(1, num_labels=2, dimension=2)(embeddings), "`index` must be called")
assert "tensorflow" not in sys.modules
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_file_imports_tensorflow(path):
    modules = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module)
    assert {module.split(".")[0] for module in modules} <= {"collections", "typing", "devise_tf", "keras", "numpy"}


def test_the_one_import_from_another_folder_needs_neither_tensorflow_nor_keras():
    code = "import sys, devise_tf.huffman; print({'tensorflow', 'keras'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "set()", result.stdout + result.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_forward_passes(backend):
    """`DEVISE_TF_JAX_PYTHON` and `DEVISE_TF_TORCH_PYTHON` name interpreters that have these packages; see .ci/run."""
    package = BACKENDS[backend]
    python = os.environ.get(f"DEVISE_TF_{package.upper()}_PYTHON", "")
    if not python and importlib.util.find_spec(package) is None:
        pytest.skip(f"Keras's {backend} backend needs {package}, which is not installed; .ci/run installs it")
    result = subprocess.run(
        [python or sys.executable, "-P", "-c", FORWARD_PASSES],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
