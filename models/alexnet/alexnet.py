"""AlexNet, the visual model of the DeViSE paper."""

from typing import Any

import keras
from keras import initializers, layers

from devise_tf.models.alexnet.local_response_normalization import LocalResponseNormalization
from devise_tf.models.visual_model import VisualModel

_MEAN = (123.68, 116.78, 103.94)  # of ImageNet's training pixels, red, green, blue
_STEM = 11  # height and width of the first filters
_SMALLEST = 25  # leaves a last map of one position


class AlexNet(VisualModel):
    """The network of Krizhevsky et al. 2012, winner of ILSVRC-2012 and visual model of the DeViSE paper.

    Five convolutions (96 11x11, 256 5x5, 384 3x3, 384 3x3, 256 3x3), local response normalization after the first
    two, overlapping 3x3 max pooling of stride 2 after the first, second and fifth, and two dense layers of 4,096
    units with dropout. The second, fourth and fifth convolution see half of the channels each, as the split over two
    GPUs had it. Pixels are centered, not scaled, which the constants of the normalization rely on.

    The image is padded with its mean color until the 11x11 windows tile it: 224 and 225 pixels become the 227 that
    give the published maps (55, 27, 13, 6). Smaller images get a smaller stem stride: the largest of 4, 2, 1 that
    leaves a last map of at least 2x2, so 4 from 96 pixels on, 2 from 54, and 1 below.

    Weights start as published: normal with deviation 0.01, biases at 1 in the second, fourth and fifth convolution
    and the hidden dense layers, else 0. At another width or image size a layer has fewer inputs than the published
    one, and its deviation is larger by the root of that ratio, which keeps the scale of its output.

    Args:
        num_labels: Integer, `>= 1`. Size of the output.
        image_size: Integer, `>= 25`. Height and width of the images. The DeViSE paper has 225.
        dropout: Float, in `[0, 1)`. Dropped share of both dense layers while training.
        width: Float, `> 0`. Factor of all channels and units, rounded to even numbers of at least 2.
        groups: Integer, 1 or 2. Groups of the second, fourth and fifth convolution; 1 joins what the two GPUs split.
        stem_stride: Integer, `>= 1`. Replaces the stride chosen from `image_size`.
        name: String. Name of the model.

    Calling the class gives a functional `keras.Model`.

    Input shape:
        `pixels`, float32 `[batch, image_size, image_size, 3]` in 0...255, red, green, blue.

    Output shape:
        `logits`, float32 `[batch, num_labels]`. Softmax is left to the loss and to the prediction, which take it
        together with the logarithm and so stay accurate. The layer `representation` gives the second dense layer after
        its dropout, `[batch, 4096]` at `width=1`.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> model = AlexNet(num_labels=1000)
    >>> model.get_layer("representation").output.shape
    (None, 4096)

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824)
    """

    def __new__(  # as `keras.Model(inputs, outputs)`, it makes a functional model
        cls,
        num_labels: int,
        image_size: int = 225,
        dropout: float = 0.5,
        width: float = 1.0,
        groups: int = 2,
        stem_stride: int | None = None,
        name: str = "alexnet",
    ) -> keras.Model:
        if num_labels < 1:
            raise ValueError(f"`num_labels` must be >= 1. Received: num_labels={num_labels}")
        if image_size < _SMALLEST:
            raise ValueError(f"`image_size` must be at least {_SMALLEST}. Received: image_size={image_size}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}")
        if not width > 0:
            raise ValueError(f"`width` must be > 0. Received: width={width}")
        if groups not in (1, 2):
            raise ValueError(f"`groups` must be 1 or 2. Received: groups={groups}")
        if stem_stride is None:
            stem_stride = next((stride for stride in (4, 2) if _last_map(image_size, stride) >= 2), 1)
        if stem_stride < 1 or _last_map(image_size, stem_stride) < 1:
            raise ValueError(
                f"`stem_stride` must be >= 1 and leave a map to pool at image_size={image_size}. "
                f"Received: stem_stride={stem_stride}"
            )

        def scaled(units: int) -> int:
            return max(2, 2 * round(units * width / 2))

        def convolution(
            x: Any,
            filters: int,
            size: int,
            number: int,
            inputs: int,
            groups: int = 1,
            stride: int = 1,
            padding: str = "same",
            bias: float = 0.0,
        ) -> Any:
            return layers.Conv2D(
                scaled(filters),
                size,
                stride,
                padding,
                groups=groups,
                activation="relu",
                kernel_initializer=_published_scale(inputs),
                bias_initializer=initializers.Constant(bias),
                name=f"convolution_{number}",
            )(x)

        def dense(x: Any, number: int, inputs: int) -> Any:
            return layers.Dense(
                scaled(4096),
                activation="relu",
                kernel_initializer=_published_scale(inputs),
                bias_initializer="ones",
                name=f"dense_{number}",
            )(x)

        # === Preprocessing ===
        pixels = keras.Input((image_size, image_size, 3), name="pixels", dtype="float32")
        x = layers.Rescaling(1.0, [-mean for mean in _MEAN], name="preprocessing")(pixels)
        padding = _tiled(image_size, stem_stride) - image_size
        x = layers.ZeroPadding2D(((padding // 2, padding - padding // 2),) * 2, name="padding")(x)

        # === Convolutions ===
        # `inputs` counts what one unit of the published layer sees.
        x = convolution(x, 96, _STEM, 1, inputs=_STEM**2 * 3, stride=stem_stride, padding="valid")
        x = LocalResponseNormalization(name="normalization_1")(x)
        x = layers.MaxPooling2D(3, 2, name="pool_1")(x)
        x = convolution(x, 256, 5, 2, 5**2 * 48, groups, bias=1.0)
        x = LocalResponseNormalization(name="normalization_2")(x)
        x = layers.MaxPooling2D(3, 2, name="pool_2")(x)
        x = convolution(x, 384, 3, 3, 3**2 * 256)
        x = convolution(x, 384, 3, 4, 3**2 * 192, groups, bias=1.0)
        x = convolution(x, 256, 3, 5, 3**2 * 192, groups, bias=1.0)
        x = layers.MaxPooling2D(3, 2, name="pool_5")(x)

        # === Top ===
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dropout(dropout, name="dropout_6")(dense(x, 6, inputs=6**2 * 256))
        x = layers.Dropout(dropout, name="representation")(dense(x, 7, inputs=4096))
        # float32 under every policy: the loss is taken of these.
        logits = layers.Dense(num_labels, kernel_initializer=_published_scale(4096), dtype="float32", name="logits")(x)
        return keras.Model(pixels, logits, name=name)


def _published_scale(inputs: int) -> initializers.Initializer:
    """Normal with deviation 0.01 for a layer of `inputs` inputs a unit, larger where there are fewer."""
    return initializers.VarianceScaling(1e-4 * inputs, mode="fan_in", distribution="untruncated_normal")


def _tiled(image_size: int, stem_stride: int) -> int:
    """The smallest size from `image_size` up that the stem's windows tile without a rest."""
    return image_size + (_STEM - image_size) % stem_stride


def _last_map(image_size: int, stem_stride: int) -> int:
    """Height and width of the last map, below 1 if a pooling has too little to pool."""
    size = (_tiled(image_size, stem_stride) - _STEM) // stem_stride + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size
