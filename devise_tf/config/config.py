"""The sum of all settings, which the command line's flags are made from."""

import dataclasses

from devise_tf.config.devise import DeviseSettings
from devise_tf.config.images import ImageSettings
from devise_tf.config.run import RunSettings
from devise_tf.config.text import TextSettings
from devise_tf.config.visual import VisualSettings


@dataclasses.dataclass(frozen=True)
class Settings(DeviseSettings, VisualSettings, ImageSettings, TextSettings, RunSettings):
    """All settings, each in its range; what a run was made with, as far as its directory still says so.

    Raises:
        ValueError: A value is out of its range, or two of one group contradict each other.
    """


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """The settings of a run that is to be made: nothing is missing, nothing contradicts the rest.

    Raises:
        ValueError: A value is out of its range, is missing, or contradicts another one.
    """

    def check(self) -> None:
        super().check()
        if self.dtype == "float16" and self.frozen_layers != "all" and (self.cnn_epochs or self.finetune_epochs):
            raise ValueError(
                "`dtype` float16 is too coarse for weights that are trained: choose mixed_bfloat16 or mixed_float16, "
                "or freeze the weights with `frozen_layers` all. "
                f"Received: dtype='float16', frozen_layers={self.frozen_layers!r}"
            )
        if not self.model_dir:
            raise ValueError("`model_dir` must name a directory. Received: model_dir=''")
        if self.phase in ("all", "skip_gram") and not (self.corpus or self.vectors):
            raise ValueError("Phase 1 needs `corpus`, or `vectors` in its place. Received: neither")
        if self.phase != "skip_gram" and not self.images:
            raise ValueError(f"Phase {self.phase!r} needs `images`. Received: images=''")
        if self.train_label_vectors and not self.corpus:
            raise ValueError("`train_label_vectors` needs `corpus`. Received: corpus=''")

    def bound(self) -> dict[str, object]:
        """The settings that `flags.txt` holds, by name: all but later ones at their defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.metadata["later"] or getattr(self, field.name) != field.default
        }

    def command_line(self) -> list[str]:
        """The flags that differ from their defaults: a command that repeats the run."""
        values = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return [f"--{name}={value}" for name, (value, default) in values.items() if value != default]


# A run may be resumed with other values of these.
FREE = tuple(field.name for field in dataclasses.fields(Config) if field.metadata["free"])
# What runs had that were made before the setting existed.
BEFORE = {f.name: f.metadata["before"] for f in dataclasses.fields(Config) if f.metadata["before"]}
# Settings' former names.
OLD_NAMES = {f.metadata["formerly"]: f.name for f in dataclasses.fields(Config) if f.metadata["formerly"]}
