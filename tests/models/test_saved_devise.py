"""`DeViSE` and `SoftmaxFusion` saved and loaded, and built again from their configs."""

import keras
import numpy as np
import pytest

from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.layers import HingeRankLoss, LabelSoftmaxLoss
from devise_tf.models.devise import DeViSE, SoftmaxFusion, SpaceRecipe, fuse_softmax
from tests.helpers.tiny_devise import DIMENSION, LABELS, images, make_model, visual_model


@pytest.mark.parametrize("frozen", [True, False])
def test_saved_model_gives_the_same_embeddings_and_losses(tmp_path, frozen):
    model = make_model(loss=HingeRankLoss(violations="hardest", margin=0.2))
    model.freeze_visual_model(frozen)
    pixels, labels = images()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(pixels, labels, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert type(loaded) is DeViSE
    np.testing.assert_array_equal(loaded.label_vectors.numpy(), model.label_vectors.numpy())
    np.testing.assert_array_equal(loaded.predict_on_batch(pixels), model.predict_on_batch(pixels))
    np.testing.assert_array_equal(
        loaded.loss(loaded(pixels), labels).numpy(), model.loss(model(pixels), labels).numpy()
    )
    assert (loaded.loss.margin, loaded.loss.violations) == (0.2, "hardest")


def test_space_recipe_is_saved_with_exact_references(tmp_path):
    """References as a weight, so that they are exact; the model itself computes without them."""
    references = np.random.default_rng(5).normal(size=(DIMENSION, 9))
    recipe = SpaceRecipe("mean", SimilarityProfile(references, 0.25))
    model = make_model(loss=LabelSoftmaxLoss(temperature=0.125), space_recipe=recipe)
    plain = make_model(loss=LabelSoftmaxLoss(temperature=0.125), space_recipe=SpaceRecipe("mean"))
    plain.visual_model.set_weights(model.visual_model.get_weights())
    plain.projection.set_weights(model.projection.get_weights())
    pixels, labels = images()
    np.testing.assert_array_equal(plain(pixels), model(pixels))
    assert plain.profile_references is None and not model.profile_references.trainable
    for each in (model, plain):
        each.compile(keras.optimizers.SGD(0.1))
        each.fit(pixels, labels, epochs=1, verbose=0)
        each.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
        assert isinstance(loaded.loss, LabelSoftmaxLoss) and loaded.loss.temperature == 0.125
        assert loaded.space_recipe.label_terms == "mean"
        np.testing.assert_array_equal(loaded.label_vectors.numpy(), each.label_vectors.numpy())
        np.testing.assert_array_equal(
            loaded.loss(loaded(pixels), labels).numpy(), each.loss(each(pixels), labels).numpy()
        )
        if each is model:
            np.testing.assert_array_equal(loaded.profile_references.numpy(), references.astype("float32"))
            np.testing.assert_array_equal(loaded.space_recipe.profile.references, references.astype("float32"))
            assert loaded.space_recipe.profile.temperature == 0.25
        else:
            assert loaded.profile_references is None and loaded.space_recipe.profile is None


def classifier(labels=LABELS):
    """The visual model with logits on top, as phase 2 trains it."""
    visual = visual_model()
    return keras.Model(visual.input, keras.layers.Dense(labels, name="logits")(visual.output))


def test_fusion_adds_the_probabilities_to_the_embedding(tmp_path):
    """embedding = unit(M representation) + weight unit(probabilities), of one run of the network."""
    network = classifier()
    representation = keras.Model(network.input, network.get_layer("representation").output)
    rng = np.random.default_rng(6)
    recipe = SpaceRecipe("heads", SimilarityProfile(rng.normal(size=(LABELS, 3)), 0.3))
    model = DeViSE(representation, rng.random((LABELS, LABELS)), LabelSoftmaxLoss(), recipe)
    joined = fuse_softmax(model, network, 0.7)
    pixels, labels = images(5)

    def unit(vectors):
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    logits = network(pixels).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = unit(model(pixels).numpy()) + 0.7 * unit(probabilities)
    np.testing.assert_allclose(joined(pixels), expected, rtol=1e-4, atol=1e-5)
    joined.save(tmp_path / "joined.keras")
    loaded = keras.saving.load_model(tmp_path / "joined.keras", compile=False)
    for each in (joined, loaded):
        assert type(each) is SoftmaxFusion and each.softmax_weight == 0.7
        assert (each.space_recipe.label_terms, each.space_recipe.profile.temperature) == ("heads", 0.3)
        assert isinstance(each.loss, LabelSoftmaxLoss)
        np.testing.assert_array_equal(each.profile_references.numpy(), model.profile_references.numpy())
        np.testing.assert_array_equal(each.label_vectors.numpy(), model.label_vectors.numpy())
        np.testing.assert_array_equal(each.predict_on_batch(pixels), joined.predict_on_batch(pixels))
    loaded.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="Train the model before `fuse_softmax`. Received: softmax_weight=0.7"):
        loaded.fit(pixels, labels, verbose=0)
    with pytest.raises(ValueError, match="`softmax_weight` .*Received: softmax_weight=0.7, outputs"):
        fuse_softmax(model, classifier(LABELS + 1), 0.7)
    for weight in (-1.0, 1.0):  # 1.0: the logits are missing
        with pytest.raises(ValueError, match=f"`softmax_weight` .*Received: softmax_weight={weight}, outputs"):
            SoftmaxFusion(representation, weight, label_vectors=np.eye(LABELS), space_recipe=recipe)


def test_config_builds_an_equal_model():
    recipe = SpaceRecipe("random", SimilarityProfile(np.ones((DIMENSION, 3)), 0.3))
    model = make_model(loss=LabelSoftmaxLoss(temperature=0.5), space_recipe=recipe, name="embedder")
    config = model.get_config()
    again = DeViSE.from_config(config)
    assert again.get_config() == config
    assert again.name == "embedder" and isinstance(again.loss, LabelSoftmaxLoss) and again.loss.temperature == 0.5
    assert (again.space_recipe.label_terms, again.space_recipe.profile.temperature) == ("random", 0.3)
    assert again.profile_references.shape == (DIMENSION, 3)
    assert again.label_vectors.shape == (LABELS, DIMENSION)
    assert "visual_model" in config and DeViSE.from_config(config).get_config() == config  # not used up
    again.set_weights(model.get_weights())
    pixels, _ = images(2)
    np.testing.assert_array_equal(again(pixels), model(pixels))
