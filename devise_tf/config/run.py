"""Settings of a run as a whole: where, which phases, on what devices, and how it is watched."""

import dataclasses

from devise_tf.choices import PHASES, STRATEGIES
from devise_tf.config.setting import SettingsGroup, setting


@dataclasses.dataclass(frozen=True)
class RunSettings(SettingsGroup):
    """The run as a whole. Each field's meaning is its help text."""

    model_dir: str = setting("", "Directory of all that the run produces. A run that it holds is resumed.", free=True)
    phase: str = setting(
        "all", "Phases to run, in order; a single one needs those before it finished.", PHASES, free=True
    )
    seed: int = setting(0, "Seed of everything random: order, crops, first weights, false labels.")
    strategy: str = setting(
        "default", "Devices: one, this machine's, or those of TF_CONFIG's machines.", STRATEGIES, free=True
    )
    data_dir: str = setting("", "Where TensorFlow Datasets keeps its files; empty for its own default.", free=True)
    log_every: int = setting(
        50,
        "Steps between two readings of the metrics; checkpoints are written at these only.",
        positive=True,
        free=True,
    )
    checkpoint_seconds: float = setting(120.0, "Least seconds between two checkpoints.", free=True)
    verbose: int = setting(1, "0 for no progress bars.", free=True)

    def check(self) -> None:
        super().check()
        if self.seed >= 2**31 - 1:
            raise ValueError(f"`seed` must be below {2**31 - 1}. Received: seed={self.seed}")
