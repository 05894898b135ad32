"""Residual networks for small images."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from devise_tf.models.visual_model import VisualModel

_MEAN = (123.68, 116.78, 103.94)  # of ImageNet's training pixels, red, green, blue
_DEVIATION = (58.4, 57.1, 57.4)


class ResNet(VisualModel):
    """A residual network for images of 24 to 96 pixels.

    A 3x3 stem, then one stage for each width; every stage but the first halves the map. A block is the basic one of
    two 3x3 convolutions in pre-activation order (batch normalization, ReLU, convolution), so that the shortcut
    carries an unchanged sum from stem to top; where its shape changes, the shortcut is a 2x2 average and a 1x1
    convolution. The top representation is the average over the last map.

    Batch statistics are taken over the batches of all replicas (`synchronized=True`): a run on many devices then
    equals one on a single device at the same global batch. TensorFlow is the only backend that has this.

    Args:
        num_labels: Integer, `>= 1`. Size of the output.
        image_size: Integer. Height and width of the images; at least `stem_stride * 2 ** (len(widths) - 1)`.
        widths: Integers, `>= 1`. Channels of each stage.
        blocks: Integers, `>= 1`. Number of blocks of each stage; as many as `widths`.
        stem_stride: Integer, `>= 1`. Stride of the stem. The whole network's cost falls with its square.
        dropout: Float, in `[0, 1)`. Dropped share of the representation while training.
        name: String. Name of the model.

    Calling the class gives a functional `keras.Model`.

    Input shape:
        `pixels`, float32 `[batch, image_size, image_size, 3]` in 0...255, red, green, blue.

    Output shape:
        `logits`, float32 `[batch, num_labels]`. Softmax is left to the loss and to the prediction, which take it
        together with the logarithm and so stay accurate. The layer `representation` gives `[batch, widths[-1]]`.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> model = ResNet(num_labels=100, image_size=64)
    >>> model.get_layer("representation").output.shape
    (None, 256)

    Reference:
        - [He et al., 2016, Identity mappings in deep residual networks](https://arxiv.org/abs/1603.05027)
        - [He et al., 2019, Bag of tricks](https://arxiv.org/abs/1812.01187), the averaging shortcut
    """

    def __new__(  # as `keras.Model(inputs, outputs)`, it makes a functional model
        cls,
        num_labels: int,
        image_size: int,
        widths: Sequence[int] = (32, 64, 128, 256),
        blocks: Sequence[int] = (1, 1, 1, 1),
        stem_stride: int = 2,
        dropout: float = 0.0,
        name: str = "resnet",
    ) -> keras.Model:
        if num_labels < 1:
            raise ValueError(f"`num_labels` must be >= 1. Received: num_labels={num_labels}")
        if not widths or len(widths) != len(blocks) or min(*widths, *blocks) < 1:
            raise ValueError(
                "`widths` and `blocks` must be of one length and hold integers >= 1. "
                f"Received: widths={widths}, blocks={blocks}"
            )
        if stem_stride < 1:
            raise ValueError(f"`stem_stride` must be >= 1. Received: stem_stride={stem_stride}")
        smallest = stem_stride * 2 ** (len(widths) - 1)
        if image_size < smallest:
            raise ValueError(
                f"`image_size` must be at least {smallest} for {len(widths)} stages behind a stem of stride "
                f"{stem_stride}. Received: image_size={image_size}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")

        # === Preprocessing and stem ===
        pixels = keras.Input((image_size, image_size, 3), name="pixels", dtype="float32")
        scale = [1 / deviation for deviation in _DEVIATION]
        offset = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
        x = layers.Rescaling(scale, offset, name="preprocessing")(pixels)
        x = _convolution(x, widths[0], 3, stem_stride, "stem")

        # === Stages ===
        for stage, (width, depth) in enumerate(zip(widths, blocks, strict=True), start=1):
            for block in range(1, depth + 1):
                x = _block(x, width, 2 if stage > 1 and block == 1 else 1, f"stage{stage}_block{block}")

        # === Top ===
        x = _normalize_and_rectify(x, "top")
        x = layers.GlobalAveragePooling2D(name="pool" if dropout else "representation")(x)
        if dropout:
            x = layers.Dropout(dropout, name="representation")(x)
        # float32 under every policy: the loss is taken of these.
        logits = layers.Dense(num_labels, dtype="float32", name="logits")(x)
        return keras.Model(pixels, logits, name=name)


def _convolution(x: Any, width: int, size: int, stride: int, name: str) -> Any:
    return layers.Conv2D(
        width, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_convolution"
    )(x)


def _normalize_and_rectify(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=True, name=f"{name}_normalization")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _block(x: Any, width: int, stride: int, name: str) -> Any:
    shortcut = x
    x = _normalize_and_rectify(x, f"{name}_1")
    if stride > 1 or shortcut.shape[-1] != width:
        # From the rectified input, as in the reference; averaged before, so that no position is dropped.
        shortcut = layers.AveragePooling2D(stride, padding="same", name=f"{name}_average")(x) if stride > 1 else x
        shortcut = _convolution(shortcut, width, 1, 1, f"{name}_shortcut")
    x = _convolution(x, width, 3, stride, f"{name}_1")
    x = _normalize_and_rectify(x, f"{name}_2")
    x = _convolution(x, width, 3, 1, f"{name}_2")
    return layers.Add(name=f"{name}_add")([shortcut, x])
