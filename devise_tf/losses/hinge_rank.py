"""The hinge rank loss of DeViSE."""

from typing import Any

import numpy as np
from keras import ops

from devise_tf.choices import MARGIN, VIOLATIONS
from devise_tf.label_ids import label_ids, per_example


def hinge_rank_loss(
    embeddings: Any,
    labels: Any,
    label_vectors: Any,
    margin: float = MARGIN,
    violations: str = "one",
    uniforms: Any = None,
) -> Any:
    """Computes how far false labels come within `margin` of the true label, for each example.

    `term_j = max(0, margin - t_label . e + t_j . e)` for every false label `j != label`; then

    - `"one"`: the term of one false label that violates the margin (`term_j > 0`), zero if none does. The paper takes
      the first that it meets in random order, which is one drawn uniformly from all that violate: `uniforms` picks it.
    - `"sum"`: the sum of all terms.
    - `"hardest"`: the largest term, the lowest label id first among equals.

    The choice of a false label passes no gradient. The embeddings are used as they are, not normalized. A score that is
    NaN makes the example's loss NaN.

    Args:
        embeddings: float tensor `[B, D]`, the projected images.
        labels: integer tensor `[B]` or `[B, 1]`, the true labels, rows of `label_vectors`. An id outside of these is an
            error, or, within a compiled function, where values are not known, makes the example's loss NaN.
        label_vectors: float tensor `[N, D]` of the same dtype, the label vectors, of unit norm.
        margin: float, `>= 0`.
        violations: `"one"`, `"sum"` or `"hardest"`: which false labels count.
        uniforms: float tensor `[B]` or `[B, 1]` in `[0, 1)`, needed by `"one"`: the violating label number
            `floor(uniform * count)` is taken, counted in the order of the label ids.

    Returns:
        Tensor `[B]` of the dtype of `embeddings`.

    Raises:
        ValueError: if `violations` is unknown, `margin` is negative, `uniforms` is missing, or `labels` or `uniforms`
            are not as above.

    Example:

    >>> hinge_rank_loss(np.array([[1.0, 0.0]]), [0], np.eye(2), margin=1.5, violations="sum")
    [0.5]

    Reference:
        - Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, 2013.
    """
    check_hinge_arguments(margin, violations)
    if violations == "one" and uniforms is None:
        raise ValueError('`uniforms` must be given with `violations="one"`. Received: uniforms=None')
    scores = ops.matmul(embeddings, ops.transpose(label_vectors))
    labels, is_label = label_ids(labels, scores.shape[:1], ops.shape(scores)[1])
    # Comparisons with NaN, and `argmax`, would pass over it.
    is_number = ops.logical_and(is_label, ops.logical_not(ops.any(ops.isnan(scores), axis=1)))
    terms = _terms(scores, ops.expand_dims(labels, 1), margin)
    if violations == "sum":
        losses = ops.sum(terms, axis=1)
    else:
        hardest = violations == "hardest"
        chosen = ops.argmax(ops.stop_gradient(terms), axis=1) if hardest else _drawn(terms, uniforms)
        losses = ops.take_along_axis(terms, ops.expand_dims(ops.cast(chosen, "int32"), 1), axis=1)[:, 0]
    return ops.where(is_number, losses, np.nan)


def _terms(scores: Any, labels: Any, margin: float) -> Any:
    true_scores = ops.take_along_axis(scores, labels, axis=1)
    is_false = ops.arange(ops.shape(scores)[1], dtype="int32") != labels
    return ops.where(is_false, ops.relu(margin - true_scores + scores), ops.zeros_like(scores))


def _drawn(terms: Any, uniforms: Any) -> Any:
    violating = ops.cast(terms > 0, "int32")
    numbers = ops.cumsum(violating, axis=1)
    count = numbers[:, -1]
    uniforms = per_example(uniforms, terms.shape[:1], "uniforms")
    # A uniform just below one may round up to `count` when multiplied.
    number = ops.minimum(ops.cast(uniforms * ops.cast(count, uniforms.dtype), "int32"), count - 1) + 1
    # With no violation nothing is chosen, argmax gives label 0, and its term is zero.
    return ops.argmax(violating * ops.cast(numbers == number[:, None], "int32"), axis=1)


def check_hinge_arguments(margin: float, violations: str) -> None:
    """Raises a `ValueError` if `margin` or `violations` cannot be used."""
    if violations not in VIOLATIONS:
        raise ValueError(f"`violations` must be one of {VIOLATIONS}. Received: violations={violations!r}")
    if not margin >= 0:
        raise ValueError(f"`margin` must be a number >= 0. Received: margin={margin}")
