"""What all steps of a run share: settings, devices, the directory, and what the chief alone does."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import keras
import tensorflow as tf

from devise_tf.config import Config
from devise_tf.files import atomic_path
from devise_tf.images import BadImages, Crop, ImageInput, ImageSource
from devise_tf.model_dir import Entry, ModelDir
from devise_tf.models.registry import load_network
from devise_tf.training.loop import run_phase
from devise_tf.training.phase import Phase
from devise_tf.training.strategy import is_chief

T = TypeVar("T")


class RunContext:
    """A run's surroundings, for the steps that make its models.

    Args:
        config: `Config`. The settings.
        strategy: `tf.distribute.Strategy`, from `make_strategy`.
        callbacks: Keras callbacks, driven by every phase.

    Attributes:
        model_dir: `ModelDir`. The run's directory.
        chief: Boolean. Whether this process writes the run's files.
    """

    def __init__(
        self,
        config: Config,
        strategy: tf.distribute.Strategy,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        self.config, self.strategy, self.callbacks = config, strategy, callbacks
        self.model_dir = ModelDir(config.model_dir)
        self.chief = is_chief(strategy)
        self._bad_images: list[BadImages] = []

    def train(self, phase: Phase) -> None:
        """Trains a phase to its end."""
        run_phase(
            phase,
            self.strategy,
            self.model_dir,
            log_every=self.config.log_every,
            checkpoint_seconds=self.config.checkpoint_seconds,
            callbacks=self.callbacks,
            verbose=self.config.verbose,
        )

    def images(self, source: ImageSource) -> ImageInput:
        """The input of images for training; unreadable ones are counted over the whole run."""
        bad_images = BadImages(source, self.model_dir.path(Entry.BAD_IMAGES), self.config.max_bad_images)
        self._bad_images.append(bad_images)
        return ImageInput(source, Crop(self.config.image_size, self.config.resize_size), bad_images)

    def check_images(self) -> None:
        """Raises an error where too many images were unreadable."""
        for bad_images in self._bad_images:
            bad_images.check()

    def has_model(self, name: str) -> bool:
        """Whether a model is finished."""
        return self.model_dir.has(ModelDir.model_file(name))

    def load_model(self, name: str) -> keras.Model:
        """Loads a finished model on the run's devices.

        Raises:
            ValueError: It is missing.
        """
        with self.strategy.scope():
            return load_network(self.model_dir.needed(ModelDir.model_file(name)), self.config.visual_model)

    def save_model(self, model: keras.Model, name: str) -> None:
        """Saves a finished model."""

        def save() -> None:
            with atomic_path(self.model_dir.path(ModelDir.model_file(name))) as temporary:
                model.save(temporary)

        self.by_chief(save)

    def by_chief(self, action: Callable[[], T]) -> T | None:
        """Has the chief do something that others rely on, such as writing a file; all workers go on once it is done.

        Every worker must call it: the chief waits for the others, too.

        Returns:
            The result of `action`; for other workers than the chief None.
        """
        result = action() if self.chief else None
        if self.strategy.cluster_resolver is not None and self.strategy.num_replicas_in_sync > 1:
            ones = self.strategy.run(
                tf.function(lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.constant(1.0)))
            )
            self.strategy.experimental_local_results(ones)[0].numpy()
        return result

    def say(self, line: str) -> None:
        """Prints a line, once for all workers."""
        if self.chief:
            print(line, flush=True)

    def progress(self, title: str) -> Callable[[int, int | None], None] | None:
        """A progress bar over bytes of text; None where the run is to be silent."""
        if not self.config.verbose:
            return None
        print(f"\n{title}", flush=True)
        bar = keras.utils.Progbar(None, unit_name="MB")

        def show(done: int, total: int | None) -> None:
            bar.target = None if total is None else max(1, total // 1_000_000)
            bar.update(done // 1_000_000, finalize=total is not None and done >= total)

        return show
