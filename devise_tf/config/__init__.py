"""Everything that a run can be told, in five groups of settings. Imports neither TensorFlow nor Keras."""

from devise_tf.config.config import FREE, OLD_NAMES, Config, Settings
from devise_tf.config.recipes import RECIPES

__all__ = ["FREE", "OLD_NAMES", "RECIPES", "Config", "Settings"]
