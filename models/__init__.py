"""The zoo: models, presets, and predictions with them. Importing it imports neither TensorFlow nor Keras."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devise_tf.models.predictor import Predictor

# What answers where nothing else is named.
DEFAULT_PRESET = "efficientnet_lite0"


def load(
    name_or_model_dir: str = DEFAULT_PRESET, model: str | None = None, penalty: float | None = None
) -> "Predictor":
    """Loads a model that labels photos.

    Args:
        name_or_model_dir: str. The name of a preset, which comes with the package (`python -m devise_tf.models list`),
            or the model directory of a run.
        model: str or None. `"softmax"`, `"devise"`, `"conse"` or another model that it has; by default the one that a
            preset names, else `"devise"`.
        penalty: float or None. What trained labels lose of their scores in lists that have others, too, in place of
            the model's own penalty; 0 for none.

    Returns:
        A `Predictor`; its attribute `network` is the `keras.Model`.

    Raises:
        ValueError: There is no such preset, directory or model, or `penalty` is negative or not finite.

    Example:

    >>> predictor = devise_tf.models.load("runs/mine")
    >>> predictor.predict_labels("photo.jpg", labels=["tabby cat", "sports car", "snow leopard"])
    """
    from devise_tf.models.predictor import Predictor
    from devise_tf.models.sources import open_run

    return Predictor(open_run(name_or_model_dir), model, penalty)
