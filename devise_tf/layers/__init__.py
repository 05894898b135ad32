"""Keras layers of DeViSE, usable on any Keras backend."""

from devise_tf.layers.hierarchical_softmax import HierarchicalSoftmax
from devise_tf.layers.hinge_rank_loss import HingeRankLoss
from devise_tf.layers.label_distance_loss import LabelDistanceLoss
from devise_tf.layers.label_index import LabelIndex
from devise_tf.layers.label_loss import LabelLoss
from devise_tf.layers.label_softmax_loss import LabelSoftmaxLoss
from devise_tf.layers.named_loss import named_loss

__all__ = [
    "HierarchicalSoftmax",
    "HingeRankLoss",
    "LabelDistanceLoss",
    "LabelIndex",
    "LabelLoss",
    "LabelSoftmaxLoss",
    "named_loss",
]
