"""The projection that is solved, against scikit-learn's ridge regression on what the network sees of the images."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import Ridge

from devise_tf.images import BadImages, Crop, ExampleOrder, ImageInput, open_images
from devise_tf.layers import LabelDistanceLoss
from devise_tf.models.devise import DeViSE
from devise_tf.models.devise.closed_form import least_squares_projection
from devise_tf.training import make_strategy
from devise_tf.training.phases.image_batches import image_batches
from devise_tf.training.phases.least_squares import solve_projection
from tests.helpers import tiny_run
from tests.helpers.tiny_devise import visual_model
from tests.helpers.tiny_run import SEEN

RNG = np.random.default_rng(5)
VECTORS = RNG.normal(size=(len(SEEN), 5))


def ridge_regression(features, vectors, weights, ridge):
    """The kernel [F, D] of the least mean of squares, weighted, without an intercept."""
    share = weights / weights.sum()
    penalty = ridge * np.sum(share[:, None] * features**2) / features.shape[1]
    return Ridge(alpha=penalty, fit_intercept=False).fit(features, vectors, sample_weight=share).coef_.T


@pytest.mark.parametrize("strategy", ["default", "mirrored"])
def test_solution_is_ridge_regression(tmp_path, strategy):
    """Unreadable images have no part, and the batch normalization of the network stays as it is."""
    folder = tiny_run.make_inputs(tmp_path)["images"]
    bad = next((tmp_path / folder.partition(":")[2]).glob("train/*/*"))
    bad.write_bytes(b"no image")
    source = open_images(folder, "train").select(SEEN)
    images = ImageInput(source, Crop(8, 10), BadImages(source, max_share=1.0))
    order, devices = ExampleOrder(len(source), 8, seed=3), make_strategy(strategy)
    with devices.scope():
        model = DeViSE(visual_model(), VECTORS, LabelDistanceLoss())
    before = [weight.numpy() for weight in model.visual_model.weights]
    solve_projection(model, images, order, 1.5, 0.02, devices)
    for weight, value in zip(model.visual_model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    steps = int(np.ceil(1.5 * len(source) / 8))
    batches = list(image_batches(images, order)(0, steps, tf.distribute.InputContext()))
    features = np.concatenate([model.visual_model(batch["image"], training=False) for batch in batches])
    labels = np.concatenate([batch["label"] for batch in batches])
    weights = np.concatenate([batch["weight"] for batch in batches])
    assert 0 < np.sum(weights == 0) < len(weights) / 2
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    expected = ridge_regression(features.astype(np.float64), unit[labels], weights.astype(np.float64), 0.02)
    np.testing.assert_allclose(model.projection.kernel, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 5.0])
def test_closed_form(ridge):
    features, vectors = RNG.normal(size=(40, 6)) * np.logspace(0, -2, 6), RNG.normal(size=(40, 3))
    made = least_squares_projection(features.T @ features / 40, features.T @ vectors / 40, ridge)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, ridge_regression(features, vectors, np.ones(40), ridge), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(3), np.ones((2, 4)), 0.1), r"`gram` must be \[F, F\].*gram.shape=\(3, 3\), cross.shape=\(2, 4\)"),
        ((np.eye(2), np.ones((2, 4)), -0.1), "`ridge` must be finite and not negative. Received: ridge=-0.1"),
        ((np.zeros((2, 2)), np.ones((2, 4)), 0.1), "`ridge` is too small for these images. Received: ridge=0.1"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        least_squares_projection(*arguments)
