"""Residual networks for small images."""

from devise_tf.models.resnet.resnet import ResNet

__all__ = ["ResNet"]
