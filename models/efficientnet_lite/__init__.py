"""EfficientNet-Lite: convolutional networks for phones and other small machines, two with ImageNet weights."""

from typing import Any

__all__ = ["EfficientNetLite"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the help of `convert` does not need TensorFlow.
    if name == "EfficientNetLite":
        from devise_tf.models.efficientnet_lite.efficientnet_lite import EfficientNetLite

        return EfficientNetLite
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
