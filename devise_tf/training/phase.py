"""What the training loop trains."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf


class Stepper(Protocol):
    """Takes a phase's steps in place of its `loss` and `updates`, on tables that it holds itself.

    Attributes:
        least_steps: Integer. Fewest steps to take at once, where more are left.
    """

    least_steps: int

    def load(self) -> None:
        """Takes over the values of the phase's variables."""

    def take(self, start: int, stop: int) -> dict[str, float]:
        """Takes the steps `start` to `stop - 1` and returns their metrics."""

    def store(self, step: int) -> None:
        """Writes the trained values into the variables, the optimizer's too, as they are before `step`."""


@dataclasses.dataclass
class Phase:
    """What is trained, on what, and for how long.

    Attributes:
        name: String. Name of the phase and of its checkpoints' folder.
        model: `keras.Model`. The model, with all variables made.
        updates: Pairs. A Keras optimizer and the variables that it updates.
        loss: Function. `loss(batch) -> (objective, sums)`, called on each replica. `objective` is the scalar to
            minimize, *this replica's part* of the global one: sums over examples, divided by global figures only.
            `sums` maps the name of each metric to a pair of scalars, a sum and its weight, of which the loop reports
            the quotient over all replicas.
        dataset: Function. `dataset(start_step, stop_step, input_context) -> tf.data.Dataset` of batches for one
            replica, a pure function of its arguments: a run that resumes at a step calls it with that step.
        steps: Integer. Number of steps.
        steps_per_epoch: Float. Steps in one pass over the data; need not be a whole number.
        metrics: Strings. Names of the metrics that `loss` gives.
        checkpointed: Dictionary. What else the checkpoints hold, by name.
        stepper: `Stepper`. What takes the steps in place of `loss`, `updates` and `dataset`; only on one replica.
    """

    name: str
    model: keras.Model
    updates: Sequence[tuple[keras.optimizers.Optimizer, Sequence[Any]]]
    loss: Callable[[Any], tuple[tf.Tensor, dict[str, tuple[tf.Tensor, tf.Tensor]]]]
    dataset: Callable[[int, int, Any], tf.data.Dataset]
    steps: int
    steps_per_epoch: float
    metrics: tuple[str, ...] = ("loss",)
    checkpointed: dict[str, Any] = dataclasses.field(default_factory=dict)
    stepper: Stepper | None = None
