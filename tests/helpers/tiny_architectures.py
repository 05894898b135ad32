"""Registers visual models of as few layers as have all that the zoo's have: building graphs is what tests wait for."""

from devise_tf.models.alexnet import AlexNet
from devise_tf.models.registry import register
from devise_tf.models.resnet import ResNet

register("resnet_tiny", ResNet, widths=(8, 16), blocks=(1, 1), stem_stride=2)
register("alexnet_tiny", AlexNet, width=1 / 16)
