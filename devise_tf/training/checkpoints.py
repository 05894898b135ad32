"""Checkpoints of a phase."""

import tensorflow as tf

from devise_tf.model_dir import ModelDir
from devise_tf.training.phase import Phase


class Checkpoints:
    """Saves and restores all that a phase's next step depends on; the two newest are kept.

    Args:
        phase: `Phase`. What is trained; its optimizers are built.
        strategy: `tf.distribute.Strategy`. The strategy under whose scope model and optimizers were made.
        model_dir: `ModelDir`. They lie in a folder of the phase's name.

    Attributes:
        step: `tf.Variable`, an integer. The number of steps taken.
    """

    def __init__(self, phase: Phase, strategy: tf.distribute.Strategy, model_dir: ModelDir):
        self.phase = phase
        with strategy.scope():
            for optimizer, group in phase.updates:
                if not optimizer.built:
                    optimizer.build(list(group))
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        # The states of dropout's draws, which a checkpoint of a Keras model leaves out.
        weights = {id(weight) for weight in phase.model.weights}
        draws = [variable.value for variable in phase.model.variables if id(variable) not in weights]
        self._checkpoint = tf.train.Checkpoint(
            step=self.step,
            model=phase.model,
            draws=draws,
            optimizers=[optimizer for optimizer, _ in phase.updates],
            **phase.checkpointed,
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, model_dir.path(phase.name), max_to_keep=2)

    def restore(self) -> int:
        """Restores the newest checkpoint, if there is one; returns the number of steps taken."""
        if self._manager.latest_checkpoint:
            self._checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()
        return int(self.step.numpy())

    def save(self) -> None:
        """Writes a checkpoint of the present step."""
        self._manager.save(checkpoint_number=int(self.step.numpy()))

    def check_variables(self) -> None:
        """Checks the variables that are trained.

        Raises:
            FloatingPointError: One of them is not finite.
        """
        variables = [variable for _, group in self.phase.updates for variable in group]
        broken = [v.path for v in variables if not tf.reduce_all(tf.math.is_finite(v.value))]
        if broken:
            raise FloatingPointError(
                f"{self.phase.name}: these variables are not finite after step {int(self.step.numpy())}: "
                f"{', '.join(broken[:5])}. Lower this phase's learning rate. {self.newest()}"
            )

    def newest(self) -> str:
        """What to say of the newest checkpoint when a run breaks off."""
        return f"The newest checkpoint is from before: {self._manager.latest_checkpoint or 'none was written'}."
