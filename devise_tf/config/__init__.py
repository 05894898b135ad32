"""Everything that a run can be told, in five groups of settings. Imports neither TensorFlow nor Keras."""

from devise_tf.config.config import FREE, Config, Settings
from devise_tf.config.recipes import RECIPES

__all__ = ["FREE", "RECIPES", "Config", "Settings"]
