"""A whole run: from text and images to the three phases' models and the report."""

import shlex
from collections.abc import Sequence

import keras
import tensorflow as tf

from devise_tf.config import FREE, Config
from devise_tf.evaluation.evaluate_runs import evaluate_runs
from devise_tf.evaluation.settings import EvaluationSettings
from devise_tf.model_dir import CNN, DEVISE, SKIP_GRAM, Entry
from devise_tf.training.context import RunContext
from devise_tf.training.inputs import Inputs
from devise_tf.training.phases.cnn import first_visual_model, train_visual_model
from devise_tf.training.phases.devise_models import train_devise_models
from devise_tf.training.phases.skip_gram import make_term_vectors
from devise_tf.training.run_labels import RunLabels, make_described_vectors


class Run(RunContext):
    """One run in one directory. Each step is done once: what a directory already holds is not made again.

    Args:
        config: `Config`. The settings.
        strategy: `tf.distribute.Strategy`, from `make_strategy`.
        callbacks: Keras callbacks, driven by every phase.

    Attributes:
        inputs: `Inputs`. Labels, text and images.

    Raises:
        ValueError: An input does not exist or does not fit the others, or the directory belongs to another run.
    """

    def __init__(
        self,
        config: Config,
        strategy: tf.distribute.Strategy,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        super().__init__(config, strategy, callbacks)
        # Everything is opened before anything is written: a mistyped path must not become this directory's setting.
        self.inputs = Inputs(
            config, self._has_phase(SKIP_GRAM) and not self.model_dir.has(Entry.VECTORS), self.model_dir.tokenizer
        )
        self._visual_model = None
        if self._has_phase(CNN) and not self.has_model(CNN):
            self._visual_model = first_visual_model(self, len(self.inputs.seen))
        if self.chief:
            self.model_dir.bind_flags(config.bound(), free=FREE)
            if self.inputs.labels is not None:
                self.model_dir.bind_labels(self.inputs.labels, self.inputs.unseen, self.inputs.hierarchy)

    def _has_phase(self, phase: str) -> bool:
        return self.config.phase in ("all", phase)

    def execute(self, command: str = "") -> str:
        """Runs the phases that the config asks for, and the report where all are done; returns the tables."""
        try:
            return self._execute(command)
        except tf.errors.OpError:
            # What the input pipeline's Python raised comes back as a TensorFlow error, between tracebacks.
            self.check_images()
            raise

    def _execute(self, command: str) -> str:
        if self._has_phase(SKIP_GRAM):
            make_term_vectors(self, self.inputs)
        if self._has_phase(DEVISE):
            make_described_vectors(self, self.inputs)
            labels = RunLabels(self.inputs, self.model_dir)
            self.say(f"\n{labels.coverage(self.config)}")
            # Labels without a vector are better known before the CNN is trained than after.
            labels.space(self.config).table(labels.labels)
        if self._visual_model is not None:
            train_visual_model(self, self.inputs, *self._visual_model)
            self._visual_model = None  # phase 3 loads it
        if not self._has_phase(DEVISE):
            return ""
        train_devise_models(self, self.inputs, labels)
        # A worker that left before the report is written would be missed by the others.
        return self.by_chief(lambda: self._report(command)) or ""

    def _report(self, command: str) -> str:
        """Measures the run's models and writes the report; returns the tables."""
        self.say("\nReport")
        config = self.config
        settings = EvaluationSettings(
            model_dirs=(self.model_dir.directory,),
            images=config.images,
            data_dir=config.data_dir,
            max_bad_images=config.max_bad_images,
            batch_size=config.devise_batch_size,
            seed=config.seed,
            verbose=config.verbose,
        )
        return evaluate_runs(settings, command or shlex.join(config.command_line()))


def train(
    config: Config,
    strategy: tf.distribute.Strategy,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    command: str = "",
) -> str:
    """Trains as `config` says; see `Run`.

    Args:
        config: `Config`. The settings.
        strategy: `tf.distribute.Strategy`, from `make_strategy`.
        callbacks: Keras callbacks, driven by every phase.
        command: String. The command line, for the report; by default the settings that differ from their defaults.

    Returns:
        String. The tables of results; empty where the run is not finished.
    """
    return Run(config, strategy, callbacks).execute(command)
