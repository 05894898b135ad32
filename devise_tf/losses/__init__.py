"""The losses of DeViSE as pure functions, one value an example.

They take label ids, which `keras.losses.Loss` would cast to float, so there are no `Loss` classes: the layers
`HierarchicalSoftmax` and `HingeRankLoss` hold the tables and call these functions.
"""

from devise_tf.losses.hierarchical_softmax import hierarchical_softmax_loss
from devise_tf.losses.hinge_rank import hinge_rank_loss
from devise_tf.losses.l2 import l2_label_loss
from devise_tf.losses.label_softmax import label_softmax_loss

__all__ = ["hierarchical_softmax_loss", "hinge_rank_loss", "l2_label_loss", "label_softmax_loss"]
