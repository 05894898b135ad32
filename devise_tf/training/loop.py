"""The one training loop, for every phase and every strategy."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from devise_tf.model_dir import ModelDir
from devise_tf.training.metrics_log import MetricsLog
from devise_tf.training.strategy import is_chief


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


def run_phase(
    phase: Phase,
    strategy: tf.distribute.Strategy,
    model_dir: ModelDir,
    log_every: int = 50,
    checkpoint_seconds: float = 120.0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> dict[str, float]:
    """Trains a phase to its last step, from its newest checkpoint where there is one.

    Args:
        phase: The phase.
        strategy: The strategy under whose scope the phase's model and optimizers were made.
        model_dir: Where checkpoints, `metrics.jsonl` and TensorBoard logs go.
        log_every: Steps between two readings of the metrics, which are also the only steps at which a checkpoint may
            be written.
        checkpoint_seconds: Least time between two checkpoints; a last one is written at the end.
        callbacks: Keras callbacks; `on_train_batch_end` comes once every `log_every` steps.
        verbose: 0 silences the progress bar.

    Returns:
        The metrics of the last reading.

    Raises:
        FloatingPointError: The loss, or a variable that would be saved, is not finite. No checkpoint is written then.
    """
    if log_every < 1:
        raise ValueError(f"`log_every` must be at least 1. Received: log_every={log_every}")
    if phase.steps < 1:
        raise ValueError(
            f"Phase {phase.name!r} has no step to take. Give it more epochs. Received: steps={phase.steps}"
        )
    chief = is_chief(strategy)
    variables = [variable for _, group in phase.updates for variable in group]
    with strategy.scope():
        for optimizer, group in phase.updates:
            if not optimizer.built:
                optimizer.build(list(group))
        step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
    # The states of dropout's draws, which a checkpoint of a Keras model leaves out.
    weights = {id(weight) for weight in phase.model.weights}
    draws = [variable.value for variable in phase.model.variables if id(variable) not in weights]
    checkpoint = tf.train.Checkpoint(
        step=step,
        model=phase.model,
        draws=draws,
        optimizers=[optimizer for optimizer, _ in phase.updates],
        **phase.checkpointed,
    )
    manager = tf.train.CheckpointManager(checkpoint, model_dir.path(phase.name), max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    done = int(step.numpy())
    log = MetricsLog(model_dir, phase.name)
    if chief:
        log.forget(after_step=done)
    if done >= phase.steps:
        return {}

    totals: dict[str, tuple[tf.Variable, tf.Variable]] = {}

    def replica_step(batch):
        with tf.GradientTape() as tape:
            objective, sums = phase.loss(batch)
        gradients = tape.gradient(objective, [variable.value for variable in variables])
        gradients = [_sum_rows(gradient) for gradient in gradients]
        taken = 0
        for optimizer, group in phase.updates:
            optimizer.apply(gradients[taken : taken + len(group)], group)
            taken += len(group)
        for name, pair in sums.items():
            for total, value in zip(totals[name], pair, strict=True):
                total.assign_add(tf.cast(value, tf.float32))

    @tf.function
    def run_steps(iterator, count):
        for _ in tf.range(count):
            strategy.run(replica_step, args=(next(iterator),))

    # Within one call of a function TensorFlow's collectives keep their shapes, and those of sparse gradients vary.
    steps_a_call = log_every if strategy.num_replicas_in_sync == 1 else 1
    stepper = phase.stepper
    if stepper is None:
        dataset = strategy.distribute_datasets_from_function(lambda context: phase.dataset(done, phase.steps, context))
        iterator = iter(dataset)
    else:
        stepper.load()
        log_every = max(log_every, stepper.least_steps)
    with strategy.scope():
        for name in phase.metrics:
            totals[name] = tuple(
                tf.Variable(
                    0.0,
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
                for _ in range(2)
            )

    epochs = max(1, round(phase.steps / phase.steps_per_epoch))
    callback_list = keras.callbacks.CallbackList(
        list(callbacks),
        add_progbar=bool(verbose) and chief,
        model=phase.model,
        verbose=verbose,
        epochs=epochs,
        steps=max(1, round(phase.steps_per_epoch)),
    )
    callback_list.on_train_begin()
    logs: dict[str, float] = {}
    saved_at = time.monotonic()
    epoch = None
    while done < phase.steps:
        if int(done / phase.steps_per_epoch) != epoch:
            if epoch is not None:
                callback_list.on_epoch_end(epoch, logs)
            epoch = int(done / phase.steps_per_epoch)
            callback_list.on_epoch_begin(epoch)
        count = min(log_every - done % log_every, phase.steps - done)
        if stepper is None:
            for start in range(0, count, steps_a_call):
                run_steps(iterator, tf.constant(min(steps_a_call, count - start)))
            logs = _read(totals)
        else:
            logs = stepper.take(done, done + count)
        done += count
        if not all(map(_is_finite, logs.values())):
            raise FloatingPointError(
                f"{phase.name}: the loss is not finite in steps {done - count + 1} to {done} (metrics: {logs}). "
                f"Lower this phase's learning rate, or look for broken input. {_newest(manager)}"
            )
        step.assign(done)
        last = done >= phase.steps
        saves = last or (chief and time.monotonic() - saved_at >= checkpoint_seconds)
        if saves and stepper is not None:
            stepper.store(done)
        # The loss that a step reports is from before its update.
        broken = [v.path for v in variables if not tf.reduce_all(tf.math.is_finite(v.value))] if saves else []
        if broken:
            raise FloatingPointError(
                f"{phase.name}: these variables are not finite after step {done}: {', '.join(broken[:5])}. "
                f"Lower this phase's learning rate. {_newest(manager)}"
            )
        if chief:
            log.write(done, done / phase.steps_per_epoch, logs)
            if saves:
                manager.save(checkpoint_number=done)
                saved_at = time.monotonic()
        callback_list.on_train_batch_end(done - int(epoch * phase.steps_per_epoch) - 1, logs)
    callback_list.on_epoch_end(epoch, logs)
    callback_list.on_train_end(logs)
    return logs


def _sum_rows(gradient):
    """Sums the parts of each row of a sparse gradient: scattered one by one, they would add up in any order."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    order = tf.argsort(gradient.indices, stable=True)
    rows, positions = tf.unique(tf.gather(gradient.indices, order))
    return tf.IndexedSlices(tf.sparse.segment_sum(gradient.values, order, positions), rows, gradient.dense_shape)


def _read(totals) -> dict[str, float]:
    logs = {}
    for name, (total, weight) in totals.items():
        divisor = float(weight.numpy())
        logs[name] = float(total.numpy()) / divisor if divisor else 0.0
        total.assign(0.0)
        weight.assign(0.0)
    return logs


def _newest(manager) -> str:
    return f"The newest checkpoint is from before: {manager.latest_checkpoint or 'none was written'}."


def _is_finite(value: float) -> bool:
    return value - value == 0.0
