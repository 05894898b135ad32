"""The hinge rank loss as a layer that holds the label vectors."""

from typing import Any

import keras
from keras import ops

from devise_tf.choices import MARGIN
from devise_tf.layers.label_loss import LabelLoss
from devise_tf.losses.hinge_rank import check_hinge_arguments, hinge_rank_loss


@keras.saving.register_keras_serializable(package="devise_tf")
class HingeRankLoss(LabelLoss):
    """Hinge rank loss between projected images and label vectors, the loss of DeViSE.

    `loss = sum over false labels j of max(0, margin - t_label . e + t_j . e)`, all `t` of unit norm

    where `violations` says which false labels count; see `devise_tf.losses.hinge_rank_loss`. Dtypes, weights, call
    arguments and shapes are those of every `LabelLoss`.

    Args:
        label_vectors: Float array, `[N, D]`. As in `LabelLoss`.
        margin: Float, `>= 0`.
        violations: String. `"one"` (the paper), `"sum"` or `"hardest"`.
        **kwargs: `seed` of the draws that `"one"` makes, `num_labels`, `dimension`, `name`, `dtype` of `LabelLoss`.

    Raises:
        ValueError: As of `LabelLoss`, or `margin` or `violations` cannot be used.

    Example:

    >>> layer = HingeRankLoss(np.eye(2), margin=1.5, violations="sum")
    >>> layer(np.array([[1.0, 0.0]]), np.array([0]))
    [0.5]

    Reference:
        - Frome et al., 2013, [DeViSE: A Deep Visual-Semantic Embedding Model](
          https://papers.nips.cc/paper/5204-devise-a-deep-visual-semantic-embedding-model).
    """

    def __init__(self, label_vectors: Any = None, margin: float = MARGIN, violations: str = "one", **kwargs: Any):
        check_hinge_arguments(margin, violations)
        self.margin, self.violations = margin, violations
        super().__init__(label_vectors, **kwargs)

    def _has_generator(self) -> bool:
        return self.violations == "one"

    def label_loss(self, embeddings: Any, labels: Any, label_vectors: Any, uniforms: Any) -> Any:
        if uniforms is None and self.violations == "one":
            uniforms = keras.random.uniform((ops.shape(embeddings)[0],), dtype="float32", seed=self.seed_generator)
        return hinge_rank_loss(embeddings, labels, label_vectors, self.margin, self.violations, uniforms)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "margin": self.margin, "violations": self.violations}
