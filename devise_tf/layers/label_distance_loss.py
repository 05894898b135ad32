"""The squared distance to the label's vector, as a layer that holds the label vectors."""

from typing import Any

import keras

from devise_tf.layers.label_loss import LabelLoss
from devise_tf.losses.l2 import l2_label_loss


@keras.saving.register_keras_serializable(package="devise_tf")
class LabelDistanceLoss(LabelLoss):
    """Squared euclidean distance between projected images and the vectors of their labels.

    `loss = sum over d of (e_d - t_label,d) ** 2`, all `t` of unit norm

    The DeViSE paper reports it as about half as accurate as the hinge rank loss; see `devise_tf.losses.l2_label_loss`.
    Arguments, dtypes, weights, call arguments and shapes are those of every `LabelLoss`; no false label is drawn.

    Example:

    >>> LabelDistanceLoss(np.eye(2))(np.array([[1.0, 2.0]]), np.array([0]))
    [4.0]

    Reference:
        - Frome et al., 2013, [DeViSE: A Deep Visual-Semantic Embedding Model](
          https://papers.nips.cc/paper/5204-devise-a-deep-visual-semantic-embedding-model), section 3.3.
    """

    def label_loss(self, embeddings: Any, labels: Any, label_vectors: Any, uniforms: Any) -> Any:
        return l2_label_loss(embeddings, labels, label_vectors)
