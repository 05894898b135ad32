"""Everything that a run can be told, in five groups of settings. Imports neither TensorFlow nor Keras."""

from devise_tf.config.config import BEFORE, FREE, OLD_NAMES, Config, Settings
from devise_tf.config.recipes import RECIPES

__all__ = ["BEFORE", "FREE", "OLD_NAMES", "RECIPES", "Config", "Settings"]
