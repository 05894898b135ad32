import numpy as np
import pytest

from devise_tf.labels.similarity_profile import SimilarityProfile


def test_formula():
    rng = np.random.default_rng(0)
    references, vectors = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    result = SimilarityProfile(references, 0.2)(vectors)
    expected = np.array([[np.exp(v @ r / 0.2) for r in references] for v in vectors])
    expected /= np.sqrt((expected**2).sum(axis=1, keepdims=True))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    np.testing.assert_allclose(SimilarityProfile(references, 0.2)(vectors[0]), expected[0], rtol=1e-5)


def test_small_temperatures_point_at_the_nearest_reference():
    references = np.eye(3, dtype="float32")
    result = SimilarityProfile(references, 1e-4)(np.array([[0.6, 0.8, 0.0]]))
    np.testing.assert_allclose(result, [[0, 1, 0]], atol=1e-6)


@pytest.mark.parametrize("references", [np.zeros((0, 3)), np.ones(3), np.full((2, 2), np.nan)])
def test_bad_references(references):
    with pytest.raises(ValueError, match="`references` must be finite, of the shape"):
        SimilarityProfile(references)


def test_bad_temperature():
    with pytest.raises(ValueError, match="Received: temperature=0"):
        SimilarityProfile(np.eye(2), 0)
