"""The one training loop, for every phase and every strategy."""

import math
import time
from collections.abc import Sequence

import keras
import tensorflow as tf

from devise_tf.model_dir import ModelDir
from devise_tf.training.checkpoints import Checkpoints
from devise_tf.training.epochs import Epochs
from devise_tf.training.metrics_log import MetricsLog
from devise_tf.training.phase import Phase
from devise_tf.training.replica_steps import ReplicaSteps
from devise_tf.training.strategy import is_chief


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
        phase: `Phase`. What is trained.
        strategy: `tf.distribute.Strategy`. The strategy under whose scope the phase's model and optimizers were made.
        model_dir: `ModelDir`. Where checkpoints, `metrics.jsonl` and TensorBoard logs go.
        log_every: Integer. Steps between two readings of the metrics; a checkpoint may be written at these only.
        checkpoint_seconds: Float. Least time between two checkpoints; a last one is written at the end.
        callbacks: Keras callbacks; `on_train_batch_end` comes once every `log_every` steps.
        verbose: Integer. 0 silences the progress bar.

    Returns:
        Floats by name. The metrics of the last reading.

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
    checkpoints = Checkpoints(phase, strategy, model_dir)
    log, done = MetricsLog(model_dir, phase.name), checkpoints.restore()
    if chief:
        log.forget(after_step=done)
    if done >= phase.steps:
        return {}
    stepper = phase.stepper or ReplicaSteps(phase, strategy, done, log_every)
    stepper.load()
    log_every = max(log_every, stepper.least_steps)
    epochs = Epochs(phase, callbacks, verbose, bar=bool(verbose) and chief)
    saved_at = time.monotonic()
    while done < phase.steps:
        epochs.before(done)
        start, done = done, min(done - done % log_every + log_every, phase.steps)
        logs = stepper.take(start, done)
        checkpoints.step.assign(done)
        if not all(map(math.isfinite, logs.values())):
            raise FloatingPointError(
                f"{phase.name}: the loss is not finite in steps {start + 1} to {done} (metrics: {logs}). "
                f"Lower this phase's learning rate, or look for broken input. {checkpoints.newest()}"
            )
        saves = done >= phase.steps or (chief and time.monotonic() - saved_at >= checkpoint_seconds)
        if saves:
            stepper.store(done)
            checkpoints.check_variables()  # the loss that a step reports is from before its update
        if chief:
            log.write(done, done / phase.steps_per_epoch, logs)
        if chief and saves:
            checkpoints.save()
            saved_at = time.monotonic()
        epochs.after(done, logs)
    epochs.end(logs)
    return logs
