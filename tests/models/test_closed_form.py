"""The closed form of a projection against least squares, and what it says about a softmax's logits."""

import keras
import numpy as np
import pytest

from devise_tf.models.devise.closed_form import closed_form_projection

FEATURES, LABELS, DIMENSION = 7, 12, 5


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def problem(labels=LABELS, dimension=DIMENSION):
    """A kernel [F, N] and label vectors [N, D]."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(FEATURES, labels)), unit(rng.normal(size=(labels, dimension)))


def objective(projection, kernel, vectors, ridge):
    """|M T' - W|^2 + ridge |M|^2, where W is the kernel less its mean."""
    centered = kernel - np.mean(kernel, axis=1)[:, None]
    return np.sum((projection @ vectors.T - centered) ** 2) + ridge * np.sum(projection**2)


@pytest.mark.parametrize("ridge", [1e-4, 0.01, 3.0])
@pytest.mark.parametrize(("labels", "dimension"), [(12, 5), (5, 12), (6, 6)])
def test_projection_solves_the_augmented_least_squares(ridge, labels, dimension):
    """`[T; sqrt(ridge) I] M' = [W'; 0]` has the same solution as the closed form."""
    kernel, vectors = problem(labels, dimension)
    centered = kernel - np.mean(kernel, axis=1)[:, None]
    system = np.concatenate([vectors, np.sqrt(ridge) * np.eye(dimension)])
    wanted = np.concatenate([centered.T, np.zeros((dimension, FEATURES))])
    expected = np.linalg.lstsq(system, wanted, rcond=None)[0].T
    projection = closed_form_projection(kernel, vectors, ridge)
    assert projection.dtype == np.float32 and projection.shape == (FEATURES, dimension)
    np.testing.assert_allclose(projection, expected, rtol=1e-5, atol=1e-5)


def test_every_other_projection_is_worse():
    kernel, vectors = problem()
    best = closed_form_projection(kernel, vectors, 0.3).astype(np.float64)
    rng = np.random.default_rng(1)
    for size in (1e-3, 0.1, 1.0):
        for _ in range(20):
            step = size * rng.normal(size=best.shape)
            # In a quadratic the step's first order is 0 at the minimum, and its second order is the rest.
            rise = np.sum((step @ vectors.T) ** 2) + 0.3 * np.sum(step**2)
            increase = objective(best + step, kernel, vectors, 0.3) - objective(best, kernel, vectors, 0.3)
            assert increase == pytest.approx(rise, rel=1e-2, abs=1e-7) and increase > 0


def test_larger_ridge_gives_a_smaller_and_less_exact_projection():
    kernel, vectors = problem()
    projections = [closed_form_projection(kernel, vectors, ridge).astype(np.float64) for ridge in (0.01, 0.1, 1, 10)]
    norms = [np.linalg.norm(projection) for projection in projections]
    errors = [objective(projection, kernel, vectors, 0) for projection in projections]
    assert norms == sorted(norms, reverse=True) and errors == sorted(errors)


def test_scores_equal_the_logits_if_there_are_enough_dimensions():
    """Label vectors that are independent: the scores and the biases give the softmax's own probabilities."""
    kernel, vectors = problem(labels=5, dimension=8)
    biases, representations = np.random.default_rng(2).normal(size=5), np.random.default_rng(3).normal(size=(4, 7))
    projection = closed_form_projection(kernel, vectors, 1e-9)
    logits = representations @ kernel + biases
    scores = representations @ projection @ vectors.T + biases
    # The mean over the labels is what they differ by, the same for all labels of an image.
    np.testing.assert_allclose(np.ptp(logits - scores, axis=1), 0, atol=1e-5)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), probabilities, rtol=1e-4, atol=1e-6
    )


def test_shift_common_to_all_labels_changes_nothing():
    """A number added to all weights of a feature changes no probability."""
    kernel, vectors = problem()
    shift = np.random.default_rng(4).normal(size=(FEATURES, 1))
    expected = closed_form_projection(kernel, vectors, 0.1)
    np.testing.assert_allclose(closed_form_projection(kernel + shift, vectors, 0.1), expected, atol=1e-6)


def test_variables_and_half_precision_are_computed_in_float64():
    kernel, vectors = problem()
    expected = closed_form_projection(kernel.astype(np.float32), vectors.astype(np.float32), 0.1)
    variable = keras.Variable(kernel, dtype="float32")
    np.testing.assert_array_equal(closed_form_projection(variable, vectors.astype(np.float32), 0.1), expected)
    half = closed_form_projection(kernel.astype(np.float16), vectors.astype(np.float16), 0.1)
    np.testing.assert_allclose(half, expected, atol=0.05)


@pytest.mark.parametrize(
    ("kernel", "vectors"), [((7, 12), (11, 5)), ((7,), (7, 5)), ((7, 12), (12,)), ((1, 7, 12), (12, 5))]
)
def test_shapes_that_do_not_fit_are_refused(kernel, vectors):
    with pytest.raises(ValueError) as caught:
        closed_form_projection(np.ones(kernel), np.ones(vectors), 1.0)
    assert str(caught.value) == (
        "`kernel` must be [F, N] and `label_vectors` [N, D]. "
        f"Received: kernel.shape={kernel}, label_vectors.shape={vectors}"
    )


@pytest.mark.parametrize("ridge", [0, -1.0, float("nan"), float("inf")])
def test_ridge_that_is_not_positive_and_finite_is_refused(ridge):
    with pytest.raises(ValueError, match=f"`ridge` must be positive and finite. Received: ridge={ridge}"):
        closed_form_projection(*problem(), ridge)


def test_ridge_lost_in_rounding_is_refused():
    vectors = np.tile([[0.5, 0.5]], (2, 1))
    with pytest.raises(ValueError, match="`ridge` is too small for these label vectors. Received: ridge=1e-30"):
        closed_form_projection(np.eye(2), vectors, 1e-30)
