"""`DeViSE.from_preset`: Keras models that are called, summarized, fine-tuned, saved and loaded."""

import keras
import numpy as np
import pytest

import devise_tf.models
from devise_tf.models.devise import DeViSE, SoftmaxFusion

PRESET = devise_tf.models.DEFAULT_PRESET
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype("float32")
LABELS = np.array([3, 7])


@pytest.mark.slow
def test_devise_is_called_summarized_fine_tuned_saved_and_loaded(tmp_path, capsys):
    model = DeViSE.from_preset(PRESET)
    assert type(model) is DeViSE and isinstance(model, keras.Model)
    before = np.array(model(PIXELS, training=False))
    assert before.shape == (2, model.label_vectors.shape[1])
    predictor = devise_tf.models.load(PRESET, "devise")
    np.testing.assert_allclose(before, predictor.network(PIXELS, training=False), atol=1e-5)
    model.summary()
    assert "projection" in capsys.readouterr().out
    model.freeze_visual_model()
    with pytest.raises(ValueError, match="`compile` takes no loss: give it to `DeViSE`. Received: loss='mse'"):
        model.compile("sgd", loss="mse")
    model.compile(keras.optimizers.Adagrad(0.1), jit_compile=False)  # XLA takes a while
    assert type(model.loss).__name__ == "HingeRankLoss"
    history = model.fit(PIXELS, LABELS, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(history).all() and not np.allclose(model(PIXELS, training=False), before)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is DeViSE and loaded.space_recipe.label_terms == "heads"
    np.testing.assert_array_equal(loaded.predict_on_batch(PIXELS), model.predict_on_batch(PIXELS))
    loaded.fit(PIXELS, LABELS, verbose=0)


@pytest.mark.slow
def test_default_model_is_the_fusion(tmp_path):
    model = SoftmaxFusion.from_preset(PRESET)
    assert model.name == "profiles" and model.space_recipe.profile is not None
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is SoftmaxFusion
    np.testing.assert_array_equal(loaded.predict_on_batch(PIXELS), model.predict_on_batch(PIXELS))


def test_models_of_another_class_and_unknown_presets_are_refused():
    with pytest.raises(ValueError, match=r"one of \['devise'\], the DeViSE models of .*Received: model='profiles'"):
        DeViSE.from_preset(PRESET, "profiles")
    with pytest.raises(ValueError, match="This must be a preset"):
        DeViSE.from_preset("efficientnet_lite9")
