from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="devise_tf")
class ReverseChannels(keras.layers.Layer):
    """Reverses red, green, blue to blue, green, red, the order of networks that were first trained with Caffe.

    Args:
        **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Input shape:
        `[..., channels]`.

    Output shape:
        As the input.

    Example:

    >>> ReverseChannels()(np.array([[1.0, 2.0, 3.0]]))
    [[3.0, 2.0, 1.0]]
    """

    def call(self, inputs: Any) -> Any:
        return ops.flip(inputs, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
