"""The softmax over cosines with the label vectors, as a layer that holds them."""

from typing import Any

import keras

from devise_tf.choices import TEMPERATURE
from devise_tf.layers.label_loss import LabelLoss
from devise_tf.losses.label_softmax import check_temperature, label_softmax_loss


@keras.saving.register_keras_serializable(package="devise_tf")
class LabelSoftmaxLoss(LabelLoss):
    """Cross-entropy of a softmax over the cosines between projected images and all label vectors.

    `loss = -log softmax_j(t_j . e / |e| / temperature) [label]`, in nats, all `t` of unit norm

    All false labels count, the nearer ones more; see `devise_tf.losses.label_softmax_loss`. Dtypes, weights, call
    arguments and shapes are those of every `LabelLoss`; no false label is drawn.

    Args:
        label_vectors: Float array, `[N, D]`. As in `LabelLoss`.
        temperature: Float, `> 0`. The smaller, the more the nearest false labels count.
        **kwargs: `seed`, `num_labels`, `dimension`, `name`, `dtype` of `LabelLoss`.

    Raises:
        ValueError: As of `LabelLoss`, or `temperature` is not positive.

    Example:

    >>> LabelSoftmaxLoss(np.eye(2), temperature=1.0)(np.array([[2.0, 0.0]]), np.array([0]))
    [0.3133]
    """

    def __init__(self, label_vectors: Any = None, temperature: float = TEMPERATURE, **kwargs: Any):
        check_temperature(temperature)
        super().__init__(label_vectors, **kwargs)
        self.temperature = temperature

    def label_loss(self, embeddings: Any, labels: Any, label_vectors: Any, uniforms: Any) -> Any:
        return label_softmax_loss(embeddings, labels, label_vectors, self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
