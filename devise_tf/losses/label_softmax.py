"""A softmax over the cosines between an image and the labels."""

from typing import Any

import keras
import numpy as np
from keras import ops

from devise_tf.choices import TEMPERATURE
from devise_tf.label_ids import label_ids


def label_softmax_loss(embeddings: Any, labels: Any, label_vectors: Any, temperature: float = TEMPERATURE) -> Any:
    """Computes how improbable the true label is, where probabilities come from cosines with all label vectors.

    `loss = -log softmax_j(t_j . e / |e| / temperature) [label]`

    All false labels count, the nearer ones more; the embedding's length has no part in it.

    Args:
        embeddings: float tensor `[B, D]`, the projected images.
        labels: integer tensor `[B]` or `[B, 1]`, the true labels, rows of `label_vectors`. An id outside of these is an
            error, or, within a compiled function, where values are not known, makes the example's loss NaN.
        label_vectors: float tensor `[N, D]` of the same dtype, the label vectors, of unit norm.
        temperature: float, `> 0`. The smaller, the more the nearest false labels count.

    Returns:
        Tensor `[B]` of the dtype of `embeddings`, nats.

    Raises:
        ValueError: if `temperature` is not positive, or `labels` are not as above.

    Example:

    >>> label_softmax_loss(np.array([[2.0, 0.0]]), [0], np.eye(2), temperature=1.0)
    [0.3133]
    """
    check_temperature(temperature)
    cosines = ops.matmul(ops.normalize(embeddings, axis=-1), ops.transpose(label_vectors))
    labels, is_label = label_ids(labels, cosines.shape[:1], ops.shape(cosines)[1])
    losses = keras.losses.sparse_categorical_crossentropy(labels, cosines / temperature, from_logits=True)
    return ops.where(is_label, losses, np.nan)


def check_temperature(temperature: float) -> None:
    """Raises a `ValueError` if `temperature` is not positive."""
    if not temperature > 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
