"""Layers, losses and metrics belong to Keras, not to one of its backends."""

import ast
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted(path for name in ("layers", "losses", "metrics") for path in (ROOT / "devise_tf" / name).glob("*.py"))

# What each backend needs; Keras's NumPy backend borrows from JAX.
BACKENDS = {"jax": "jax", "numpy": "jax", "torch": "torch"}

FORWARD_PASSES = """
import sys
import numpy as np
from devise_tf.layers import HierarchicalSoftmax, HingeRankLoss, LabelIndex
from devise_tf.losses import label_softmax_loss
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
