"""EfficientNet-Lite, networks for phones and other small machines."""

import math
from typing import Any

import keras
from keras import layers

from devise_tf.models.visual_model import VisualModel

_SMALLEST = 32  # all strides together: leaves a last map of one position
_STEM = 32
_HEAD = 1280

# Blocks, width of the output, kernel size, stride of the first block and expansion of each stage of Lite0.
_STAGES = (
    (1, 16, 3, 1, 1),
    (2, 24, 3, 2, 6),
    (2, 40, 5, 2, 6),
    (3, 80, 3, 2, 6),
    (3, 112, 5, 1, 6),
    (4, 192, 5, 2, 6),
    (1, 320, 3, 1, 6),
)


class EfficientNetLite(VisualModel):
    """EfficientNet-Lite, a network of inverted residual blocks for phones and other small machines.

    A 3x3 stem of 32 channels, seven stages of blocks and a 1x1 head of 1,280 channels, whose average over the last map
    is the top representation. A block expands its input six times by a 1x1 convolution, convolves each channel for
    itself and projects to its output by a 1x1 convolution; where the shapes agree its input is added. Unlike
    EfficientNet it has ReLU6 in place of swish, which int8 suits better, and no squeeze-and-excitation, which not every
    phone's chip knows; stem, head and the number of blocks of the first and last stage are the same at every scale.

    Batch statistics are taken over the batches of all replicas (`synchronized=True`): a run on many devices then
    equals one on a single device at the same global batch. TensorFlow is the only backend that has this.

    Args:
        num_labels: Integer, `>= 1`. Size of the output.
        image_size: Integer, `>= 32`. Height and width of the images.
        width: Float, `> 0`. Factor of the stages' channels, rounded to multiples of 8.
        depth: Float, `> 0`. Factor of the number of blocks of all stages but the first and last, rounded up.
        dropout: Float, in `[0, 1)`. Dropped share of the representation while training.
        name: String. Name of the model.

    Calling the class gives a functional `keras.Model`.

    Input shape:
        `pixels`, float32 `[batch, image_size, image_size, 3]` in 0...255, red, green, blue.

    Output shape:
        `logits`, float32 `[batch, num_labels]`. Softmax is left to the loss and to the prediction, which take it
        together with the logarithm and so stay accurate. The layer `representation` gives `[batch, 1280]`.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> model = EfficientNetLite(num_labels=1000)
    >>> model.get_layer("representation").output.shape
    (None, 1280)

    Reference:
        - [Tan and Le, 2019](https://arxiv.org/abs/1905.11946)
        - [EfficientNet-Lite](https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)
    """

    def __new__(  # as `keras.Model(inputs, outputs)`, it makes a functional model
        cls,
        num_labels: int,
        image_size: int = 224,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
        name: str = "efficientnet_lite",
    ) -> keras.Model:
        if num_labels < 1:
            raise ValueError(f"`num_labels` must be >= 1. Received: num_labels={num_labels}")
        if image_size < _SMALLEST:
            raise ValueError(f"`image_size` must be at least {_SMALLEST}. Received: image_size={image_size}")
        if not (width > 0 and depth > 0):
            raise ValueError(f"`width` and `depth` must be > 0. Received: width={width}, depth={depth}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")

        # === Preprocessing and stem ===
        pixels = keras.Input((image_size, image_size, 3), name="pixels", dtype="float32")
        x = layers.Rescaling(1 / 128, -127 / 128, name="preprocessing")(pixels)
        x = _rectify(_convolution(x, _STEM, 3, 2, "stem"), "stem")

        # === Stages ===
        for stage, (blocks, channels, size, stride, expansion) in enumerate(_STAGES, start=1):
            if 1 < stage < len(_STAGES):
                blocks = math.ceil(blocks * depth)
            for block in range(1, blocks + 1):
                x = _block(
                    x,
                    _scaled(channels, width),
                    size,
                    stride if block == 1 else 1,
                    expansion,
                    f"stage{stage}_block{block}",
                )

        # === Head and top ===
        x = _rectify(_convolution(x, _HEAD, 1, 1, "head"), "head")
        x = layers.GlobalAveragePooling2D(name="pool" if dropout else "representation")(x)
        if dropout:
            x = layers.Dropout(dropout, name="representation")(x)
        # float32 under every policy: the loss is taken of these.
        logits = layers.Dense(
            num_labels, kernel_initializer=_variance(1 / 3, "uniform"), dtype="float32", name="logits"
        )(x)
        return keras.Model(pixels, logits, name=name)


def _variance(scale: float, distribution: str) -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(scale, mode="fan_out", distribution=distribution)


def _scaled(channels: int, width: float) -> int:
    """The nearest multiple of 8, but none that takes away more than a tenth."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _convolution(x: Any, width: int, size: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(
        width,
        size,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_variance(2.0, "untruncated_normal"),
        name=f"{name}_convolution",
    )(x)
    return _normalize(x, name)


def _normalize(x: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, synchronized=True, name=f"{name}_normalization")(x)


def _rectify(x: Any, name: str) -> Any:
    # A layer, not an activation argument: quantizers and other forms know it.
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _block(x: Any, width: int, size: int, stride: int, expansion: int, name: str) -> Any:
    shortcut = x
    if expansion > 1:
        x = _rectify(_convolution(x, expansion * x.shape[-1], 1, 1, f"{name}_expand"), f"{name}_expand")
    x = layers.DepthwiseConv2D(
        size,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_variance(2.0, "untruncated_normal"),
        name=f"{name}_depthwise_convolution",
    )(x)
    x = _rectify(_normalize(x, f"{name}_depthwise"), f"{name}_depthwise")
    x = _convolution(x, width, 1, 1, f"{name}_project")
    if stride > 1 or shortcut.shape[-1] != width:
        return x
    return layers.Add(name=f"{name}_add")([shortcut, x])
