"""Vectors of words as similarities to a few of them."""

import dataclasses

import numpy as np

from devise_tf.choices import PROFILE_TEMPERATURE


@dataclasses.dataclass(frozen=True)
class SimilarityProfile:
    """Turns a vector of words into its profile of similarities to reference vectors, those of the trained labels.

    `profile_j(t) = exp(t . reference_j / temperature)`, brought to unit norm; t of unit norm

    An image is described by what it has in common with labels that were trained, and so is a label that was not: every
    difference between trained labels has a dimension, and directions of the words' space that say nothing about them
    have none.

    Args:
        references: float array, shape `[A, D]`. Vectors of unit norm.
        temperature: float, above 0. The smaller, the more the most similar references stand out.

    Raises:
        ValueError: An argument is not as above.

    Reference:
        - Zhang and Saligrama, 2015, [Zero-Shot Learning via Semantic Similarity Embedding](
          https://arxiv.org/abs/1509.04767), which represents labels by shares of the trained ones.
    """

    references: np.ndarray
    temperature: float = PROFILE_TEMPERATURE

    def __post_init__(self) -> None:
        references = np.asarray(self.references, np.float32)
        if references.ndim != 2 or not references.size or not np.isfinite(references).all():
            raise ValueError(
                f"`references` must be finite, of the shape [A, D], neither 0. Received: shape {references.shape}"
            )
        if not self.temperature > 0:
            raise ValueError(f"`temperature` must be positive. Received: temperature={self.temperature}")
        object.__setattr__(self, "references", references)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """The profiles of vectors of unit norm: float [..., D] -> float32 [..., A], unit norm."""
        logits = np.asarray(vectors, np.float64) @ self.references.T.astype(np.float64) / self.temperature
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return (weights / np.linalg.norm(weights, axis=-1, keepdims=True)).astype(np.float32)
