"""Keras callbacks, driven by the steps of a phase."""

from collections.abc import Mapping, Sequence

import keras

from devise_tf.training.phase import Phase


class Epochs:
    """Tells Keras callbacks of epochs and readings, as `Model.fit` does; training begins with it.

    Args:
        phase: `Phase`. What is trained.
        callbacks: Keras callbacks.
        verbose: Integer. Verbosity of the progress bar.
        bar: Boolean. Whether there is a progress bar.
    """

    def __init__(self, phase: Phase, callbacks: Sequence[keras.callbacks.Callback], verbose: int, bar: bool):
        self.steps_per_epoch = phase.steps_per_epoch
        self._epoch = -1
        self._logs: Mapping[str, float] = {}
        self._callbacks = keras.callbacks.CallbackList(
            list(callbacks),
            add_progbar=bar,
            model=phase.model,
            verbose=verbose,
            epochs=max(1, round(phase.steps / phase.steps_per_epoch)),
            steps=max(1, round(phase.steps_per_epoch)),
        )
        self._callbacks.on_train_begin()

    def before(self, done: int) -> None:
        """More steps follow after `done`, perhaps those of another epoch."""
        epoch = int(done / self.steps_per_epoch)
        if epoch != self._epoch:
            if self._epoch >= 0:
                self._callbacks.on_epoch_end(self._epoch, self._logs)
            self._epoch = epoch
            self._callbacks.on_epoch_begin(epoch)

    def after(self, done: int, logs: Mapping[str, float]) -> None:
        """The metrics are read after `done` steps."""
        self._logs = logs
        self._callbacks.on_train_batch_end(done - int(self._epoch * self.steps_per_epoch) - 1, logs)

    def end(self, logs: Mapping[str, float]) -> None:
        """The last step is taken."""
        self._callbacks.on_epoch_end(self._epoch, logs)
        self._callbacks.on_train_end(logs)
