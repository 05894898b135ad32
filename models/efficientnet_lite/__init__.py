"""EfficientNet-Lite: convolutional networks for phones and other small machines, one with ImageNet weights."""

import importlib

from devise_tf.models.efficientnet_lite.presets import PRESETS

__all__ = ["PRESETS", "efficientnet_lite"]


def __getattr__(name):
    # Imported when it is asked for: the help of `convert` does not need TensorFlow.
    if name == "efficientnet_lite":
        # The import binds the name to the module, which has the function of that name.
        globals()[name] = importlib.import_module(f"{__name__}.{name}").efficientnet_lite
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
