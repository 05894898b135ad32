"""A run of before losses were objects: its files load, and its models answer what they answered then.

`old_run/expected.json` has what the code of that time gave for `PIXELS` and `PHOTOS`.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import devise_tf.models
from devise_tf.layers import HingeRankLoss, LabelDistanceLoss, LabelSoftmaxLoss
from devise_tf.models.devise import DeViSE, SoftmaxFusion

RUN = Path(__file__).with_name("old_run")
EXPECTED = json.loads((RUN / "expected.json").read_text(encoding="utf-8"))
PIXELS = np.random.default_rng(0).uniform(0, 255, (6, 16, 16, 3)).astype("float32")
LABELS, UNIFORMS = np.array([0, 1, 2, 3, 4, 0]), np.linspace(0.05, 0.95, 6).astype("float32")
PHOTOS = [np.random.default_rng(seed).integers(0, 256, (20, 22, 3), dtype=np.uint8) for seed in range(3)]
CLASSES = {
    "devise": (DeViSE, HingeRankLoss, "first"),
    "l2": (DeViSE, LabelDistanceLoss, "first"),
    "profiles": (SoftmaxFusion, LabelSoftmaxLoss, "heads"),
}


@pytest.mark.parametrize("name", ["cnn", *CLASSES])
def test_old_networks_give_the_recorded_outputs(name, tmp_path):
    """And again as they are saved now."""
    model = keras.models.load_model(RUN / f"{name}.keras", compile=False)
    model.save(tmp_path / "again.keras")
    for loaded in (model, keras.models.load_model(tmp_path / "again.keras", compile=False)):
        outputs = np.array(loaded(PIXELS, training=False))
        np.testing.assert_allclose(outputs, EXPECTED["outputs"][name], atol=1e-5)
        if name != "cnn":
            model_class, loss_class, label_terms = CLASSES[name]
            assert (type(loaded), type(loaded.loss)) == (model_class, loss_class)
            assert loaded.space_recipe.label_terms == label_terms
            losses = loaded.loss(outputs, LABELS, uniforms=UNIFORMS)
            np.testing.assert_allclose(losses, EXPECTED["outputs"][f"{name} loss"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", EXPECTED["answers"])
def test_old_run_gives_the_recorded_answers(name):
    answers = devise_tf.models.load(str(RUN), name).predict_labels(PHOTOS, k=3)
    for row, expected in zip(answers, EXPECTED["answers"][name], strict=True):
        assert [answer.id for answer in row] == [label for label, _ in expected]
        np.testing.assert_allclose([answer.score for answer in row], [score for _, score in expected], atol=1e-5)
