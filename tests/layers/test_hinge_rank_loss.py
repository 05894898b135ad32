import keras
import numpy as np
import pytest

from devise_tf.layers import HingeRankLoss
from devise_tf.losses import hinge_rank_loss
from tests.helpers.run_layer_test import run_layer_test

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, 4))
UNIT_VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype("float32")
EMBEDDINGS = RNG.normal(size=(5, 4)).astype("float32")
LABELS = np.array([0, 257, 299, 3, 258], "int32")
UNIFORMS = RNG.random(5).astype("float32")


@pytest.mark.parametrize("violations", ["sum", "hardest"])
def test_layer(violations):
    run_layer_test(
        HingeRankLoss, {"label_vectors": VECTORS, "violations": violations, "margin": 0.25}, [EMBEDDINGS, LABELS]
    )


def test_layer_with_given_draws():
    """One false label, so that rounded inputs cannot change which one is drawn."""
    init_kwargs = {"label_vectors": VECTORS[:2], "seed": 3, "margin": 5.0}
    run_layer_test(HingeRankLoss, init_kwargs, [EMBEDDINGS, LABELS % 2, UNIFORMS])


def test_layer_without_vectors():
    init_kwargs = {"num_labels": 300, "dimension": 4, "violations": "sum"}
    run_layer_test(HingeRankLoss, init_kwargs, [EMBEDDINGS, LABELS])


@pytest.mark.parametrize("violations", ["one", "sum", "hardest"])
def test_table_is_of_unit_norm_and_goes_into_the_loss(violations):
    layer = HingeRankLoss(VECTORS, margin=0.3, violations=violations)
    np.testing.assert_allclose(layer.label_vectors, UNIT_VECTORS, rtol=1e-6)
    assert layer.trainable_weights == []
    expected = hinge_rank_loss(EMBEDDINGS, LABELS, UNIT_VECTORS, 0.3, violations, UNIFORMS)
    np.testing.assert_allclose(layer(EMBEDDINGS, LABELS, UNIFORMS), expected, rtol=1e-5)


def test_draws_are_seeded_and_fresh_on_each_call():
    one, two = HingeRankLoss(VECTORS, seed=7), HingeRankLoss(VECTORS, seed=7)
    first, second = np.array(one(EMBEDDINGS, LABELS)), np.array(one(EMBEDDINGS, LABELS))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, two(EMBEDDINGS, LABELS))
    np.testing.assert_array_equal(second, two(EMBEDDINGS, LABELS))


def test_draws_of_one_come_close_to_the_mean_of_all_violations():
    """The expectation of "one" is the sum of the terms over their number: 20,000 draws, within 1 % or so."""
    layer = HingeRankLoss(VECTORS, margin=0.5, seed=1)
    embeddings, labels = np.repeat(EMBEDDINGS[:1], 20_000, axis=0), np.zeros(20_000, "int32")
    scores = EMBEDDINGS[0] @ UNIT_VECTORS.T
    terms = (0.5 - scores[0] + scores)[1:]
    np.testing.assert_allclose(np.mean(layer(embeddings, labels)), terms[terms > 0].mean(), rtol=2e-2)


def test_trains_a_projection():
    keras.utils.set_random_seed(0)
    inputs, labels = keras.Input((8,)), keras.Input((), dtype="int32")
    projection = keras.layers.Dense(4, use_bias=False)
    loss = HingeRankLoss(VECTORS[:6], seed=0)(projection(inputs), labels)
    model = keras.Model([inputs, labels], loss)
    model.compile(keras.optimizers.Adagrad(0.1), loss=lambda y_true, y_pred: y_pred)
    y = np.arange(60) % 6
    x = (np.eye(8)[y] + 0.1 * np.random.default_rng(1).normal(size=(60, 8))).astype("float32")
    history = model.fit([x, y], np.zeros(60), epochs=30, batch_size=10, verbose=0).history["loss"]
    assert history[-1] < 0.05 * history[0]


def test_config_does_not_hold_the_table():
    config = HingeRankLoss(VECTORS, name="h").get_config()
    assert config.pop("dtype")["config"]["name"] == "float32"
    assert config == {
        "name": "h",
        "trainable": True,
        "margin": 0.1,
        "violations": "one",
        "seed": None,
        "num_labels": 300,
        "dimension": 4,
    }


def test_bad_arguments():
    vectors = VECTORS.copy()
    vectors[[3, 17]] = 0
    with pytest.raises(ValueError, match=r"2 such rows, label ids=\[3, 17\]"):
        HingeRankLoss(vectors)
    vectors[3] = np.nan
    with pytest.raises(ValueError, match=r"2 such rows, label ids=\[3, 17\]"):
        HingeRankLoss(vectors)
    with pytest.raises(ValueError, match="Received: label_vectors.shape"):
        HingeRankLoss(np.ones(3))
    with pytest.raises(ValueError, match="Either `label_vectors` or both"):
        HingeRankLoss(num_labels=3)
    with pytest.raises(ValueError, match="must agree"):
        HingeRankLoss(VECTORS, num_labels=3)
    with pytest.raises(ValueError, match="Received: margin=-0.1"):
        HingeRankLoss(VECTORS, margin=-0.1)
    with pytest.raises(ValueError, match="Received: violations='two'"):
        HingeRankLoss(VECTORS, violations="two")
    with pytest.raises(ValueError, match="dimension of the label vectors, 4"):
        HingeRankLoss(VECTORS)(np.ones((1, 3), "float32"), np.array([0]))
    with pytest.raises(ValueError, match="`labels` must be integers"):
        HingeRankLoss(VECTORS)(EMBEDDINGS, LABELS.astype("float32"))
