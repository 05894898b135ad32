"""The losses of phase 3 by their names."""

from typing import Any

from devise_tf.choices import LOSSES, MARGIN, TEMPERATURE, VIOLATIONS
from devise_tf.layers.hinge_rank_loss import HingeRankLoss
from devise_tf.layers.label_distance_loss import LabelDistanceLoss
from devise_tf.layers.label_loss import LabelLoss
from devise_tf.layers.label_softmax_loss import LabelSoftmaxLoss


def named_loss(name: str, /, margin: float = MARGIN, temperature: float = TEMPERATURE, **kwargs: Any) -> LabelLoss:
    """The loss of a name.

    Args:
        name: String. One of `devise_tf.choices.LOSSES`: `"one"`, `"sum"`, `"hardest"` (`HingeRankLoss` with these
            violations), `"l2"` (`LabelDistanceLoss`) or `"softmax"` (`LabelSoftmaxLoss`).
        margin: Float, `>= 0`. Of `HingeRankLoss`.
        temperature: Float, `> 0`. Of `LabelSoftmaxLoss`.
        **kwargs: Other arguments of a `LabelLoss`; without them it has no label vectors yet.

    Raises:
        ValueError: The name is unknown, or the loss refuses its argument.
    """
    if name not in LOSSES:
        raise ValueError(f"`loss` must be one of {LOSSES}. Received: loss={name!r}")
    if name in VIOLATIONS:
        return HingeRankLoss(margin=margin, violations=name, **kwargs)
    if name == "l2":
        return LabelDistanceLoss(**kwargs)
    return LabelSoftmaxLoss(temperature=temperature, **kwargs)
