"""What the training loop trains."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf


class Stepper(Protocol):
    """Takes a phase's steps in place of its `loss` and `updates`, on a state of its own.

    Attributes:
        least_steps: Fewest steps to take at once, where more are left.
    """

    least_steps: int

    def load(self) -> None:
        """Takes over the values of the phase's variables."""

    def take(self, start: int, stop: int) -> dict[str, float]:
        """Takes the steps `start` to `stop - 1` and returns their metrics."""

    def store(self, step: int) -> None:
        """Gives the variables, the optimizer's too, the values that they have before `step`."""


@dataclasses.dataclass
class Phase:
    """What is trained, on what, and for how long.

    Attributes:
        name: Name of the phase; its checkpoints lie in a folder of that name.
        model: The Keras model, with all its variables made.
        updates: Pairs of a Keras optimizer and the variables that it updates.
        loss: `loss(batch) -> (objective, sums)`, called on each replica. `objective` is the scalar to minimise, *this
            replica's part* of the global one: sums over examples, divided by global figures only. `sums` maps the
            name of each metric to a pair of scalars, a sum and its weight, of which the loop reports the quotient over
            all replicas.
        dataset: `dataset(start_step, stop_step, input_context) -> tf.data.Dataset` of batches for one replica, a pure
            function of its arguments: a run that resumes at a step asks for it from there.
        steps: Number of steps.
        steps_per_epoch: Steps in one pass over the data; need not be a whole number.
        metrics: Names of the metrics that `loss` gives.
        checkpointed: What else the checkpoints hold, by name.
        stepper: What takes the steps in place of `loss`, `updates` and `dataset`; only on one replica.
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
