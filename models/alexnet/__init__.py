"""AlexNet, the visual model of the DeViSE paper."""

from devise_tf.models.alexnet.alexnet import AlexNet
from devise_tf.models.alexnet.local_response_normalization import LocalResponseNormalization

__all__ = ["AlexNet", "LocalResponseNormalization"]
