"""Steps of a phase, taken by TensorFlow on every replica of a strategy."""

from typing import Any

import tensorflow as tf

from devise_tf.training.phase import Phase


class ReplicaSteps:
    """Takes a phase's steps by its `loss` and `updates`: the `Stepper` of phases without one of their own.

    Args:
        phase: `Phase`. What is trained, with built optimizers.
        strategy: `tf.distribute.Strategy`. The devices.
        start: Integer. The first step.
        log_every: Integer. Steps between two readings of the metrics.
    """

    least_steps = 1

    def __init__(self, phase: Phase, strategy: tf.distribute.Strategy, start: int, log_every: int):
        self.phase, self.strategy, self.start = phase, strategy, start
        self.variables = [variable for _, group in phase.updates for variable in group]
        # Within one call of a function TensorFlow's collectives keep their shapes, and those of sparse gradients vary.
        self.steps_a_call = log_every if strategy.num_replicas_in_sync == 1 else 1
        self._run_steps = tf.function(self._run)

    def load(self) -> None:
        """Starts the input from the first step on."""
        phase = self.phase
        dataset = self.strategy.distribute_datasets_from_function(
            lambda context: phase.dataset(self.start, phase.steps, context)
        )
        self._iterator = iter(dataset)
        with self.strategy.scope():
            self._totals = {name: (_total(), _total()) for name in phase.metrics}

    def take(self, start: int, stop: int) -> dict[str, float]:
        for first in range(start, stop, self.steps_a_call):
            self._run_steps(self._iterator, tf.constant(min(self.steps_a_call, stop - first)))
        return {name: _read(*pair) for name, pair in self._totals.items()}

    def store(self, step: int) -> None:
        """Nothing: the phase's own variables are trained."""

    def _run(self, iterator: Any, count: tf.Tensor) -> None:
        for _ in tf.range(count):
            self.strategy.run(self._step, args=(next(iterator),))

    @tf.autograph.experimental.do_not_convert
    def _step(self, batch: Any) -> None:
        with tf.GradientTape() as tape:
            objective, sums = self.phase.loss(batch)
        gradients = tape.gradient(objective, [variable.value for variable in self.variables])
        gradients = [sum_rows(gradient) for gradient in gradients]
        first = 0
        for optimizer, group in self.phase.updates:
            optimizer.apply(gradients[first : first + len(group)], group)
            first += len(group)
        for name, pair in sums.items():
            for total, value in zip(self._totals[name], pair, strict=True):
                total.assign_add(tf.cast(value, tf.float32))


def _total() -> tf.Variable:
    return tf.Variable(
        0.0,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def _read(total: tf.Variable, weight: tf.Variable) -> float:
    divisor = float(weight.numpy())
    mean = float(total.numpy()) / divisor if divisor else 0.0
    total.assign(0.0)
    weight.assign(0.0)
    return mean


def sum_rows(gradient: Any) -> Any:
    """Sums the values of each row of a sparse gradient: scattered one by one, they would be added in any order."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    order = tf.argsort(gradient.indices, stable=True)
    rows, positions = tf.unique(tf.gather(gradient.indices, order))
    return tf.IndexedSlices(tf.sparse.segment_sum(gradient.values, order, positions), rows, gradient.dense_shape)
