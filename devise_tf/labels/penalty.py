"""What trained labels lose of their scores beside labels that were not trained."""

import dataclasses
import math
import numbers

from devise_tf.labels.label_set import LabelSet


@dataclasses.dataclass(frozen=True, eq=False)
class Penalty:
    """A penalty on trained labels, which otherwise win almost always: calibrated stacking.

    ```
    score(image, label) = cosine(embedding(image), label vector) - amount    of trained labels
                        = cosine(embedding(image), label vector)             of all others
    ```

    It counts in lists that have labels of both kinds. Where all are trained, or none is, scores are the cosines.

    Args:
        amount: float. What is taken from scores: finite, not negative.
        trained: LabelSet. The trained labels.

    Raises:
        ValueError: `amount` is not as above.

    Reference:
        - Chao et al., 2016, [An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object Recognition
          in the Wild](https://arxiv.org/abs/1605.04253)
    """

    amount: float
    trained: LabelSet

    def __post_init__(self) -> None:
        if not is_amount(self.amount):
            raise ValueError(f"`penalty` must be a finite number, not negative. Received: penalty={self.amount!r}")


def is_amount(value: object) -> bool:
    """Whether a value can be a penalty: a finite number, not negative."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf  # type: ignore[operator]
