from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="devise_tf")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides every activation by a power of the energy in its neighboring channels.

    With `a[i]` the activation of channel `i` of `C` at one position and `n = size`:

    ```
    b[i] = a[i] / (k + alpha * sum(a[j] ** 2 for j in window)) ** beta
    window = max(0, i - n // 2) ... min(C - 1, i + n // 2)
    ```

    `alpha` multiplies the sum, as in the paper. Caffe and PyTorch divide it by `n` first, so their `alpha` is `n`
    times ours. `tf.nn.local_response_normalization` agrees: its `depth_radius` is `size // 2`, its `bias` is `k`.

    The energy is taken in float32 under every dtype policy: a float16 sum of squares overflows at activations
    of about 100, which the network reaches.

    Args:
        size: Integer, odd, `>= 1`. How many channels a window spans (the paper's `n`).
        k: Float, `> 0`. Added to the energy.
        alpha: Float, `>= 0`. Factor of the energy.
        beta: Float, `>= 0`. The exponent.
        **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Input shape:
        `[..., channels]`, floating point, channels last.

    Output shape:
        As the input, in the compute dtype.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> LocalResponseNormalization()(keras.ops.ones((1, 1, 1, 3))).shape
    TensorShape([1, 1, 1, 3])

    Reference:
        - [Krizhevsky et al., 2012](https://papers.nips.cc/paper/4824), section 3.3
    """

    def __init__(self, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(size, int) or size < 1 or size % 2 == 0:
            raise ValueError(f"`size` must be an odd integer >= 1. Received: size={size}")
        if not k > 0:
            raise ValueError(f"`k` must be > 0. Received: k={k}")
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0:
                raise ValueError(f"`{name}` must be >= 0. Received: {name}={value}")
        self.size = size
        self.k = k
        self.alpha = alpha
        self.beta = beta
        self.built = True

    def call(self, inputs: Any) -> Any:
        dtype = inputs.dtype
        inputs = ops.cast(inputs, "float32")
        squares = ops.square(inputs)
        radius, channels = self.size // 2, inputs.shape[-1]
        padded = ops.pad(squares, [(0, 0)] * (len(inputs.shape) - 1) + [(radius, radius)])
        energy = squares
        for shift in range(self.size):
            if shift != radius:
                energy = energy + padded[..., shift : shift + channels]
        return ops.cast(inputs * ops.power(self.k + self.alpha * energy, -self.beta), dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "k": self.k, "alpha": self.alpha, "beta": self.beta}
