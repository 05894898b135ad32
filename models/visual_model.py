"""What the zoo's families of visual models have in common."""

import inspect

import keras

from devise_tf.models.pretrained import load_preset
from devise_tf.models.registry import architecture, build_visual_model
from devise_tf.models.visual_weights import load_preset_weights


class VisualModel:
    """A family of visual models, such as `ResNet`. Calling one gives a functional `keras.Model`, not an instance.

    So the models that it makes are called, trained, saved and loaded like any of Keras, and files with them need
    nothing of this package. Every visual model takes `pixels`, float32 `[batch, image_size, image_size, 3]` in 0 to
    255, has a layer `representation` of shape `[batch, features]`, and gives `logits`, float32 `[batch, num_labels]`,
    no softmax.

    Example:

    >>> model = EfficientNetLite.from_preset("efficientnet_lite0", num_labels=10)
    >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> model.fit(images, labels)
    """

    @classmethod
    def from_preset(
        cls, name: str, num_labels: int | None = None, image_size: int | None = None, dtype: str | None = None
    ) -> keras.Model:
        """Builds a pretrained visual model.

        Args:
            name: String. Name of a preset (`python -m devise_tf.models list`), or the path of a preset's file.
            num_labels: Integer, `>= 1`. By default as pretrained; if another, the layer `logits` has random weights.
            image_size: Integer. Height and width of the images; by default as pretrained.
            dtype: String. Keras dtype policy of all layers but the logits; by default Keras's global one.

        Returns:
            A functional `keras.Model`.

        Raises:
            ValueError: There is no such preset, or its visual model is of another family.
        """
        preset = load_preset(name)
        visual_model = preset.softmax["visual_model"]
        cls._check_family(visual_model, f"The preset {preset.name!r}")
        model = build_visual_model(
            visual_model, num_labels or preset.num_labels(), image_size or preset.image_size, dtype
        )
        load_preset_weights(model, preset)
        return model

    @classmethod
    def from_architecture(
        cls, name: str, num_labels: int, image_size: int, dtype: str | None = None, **overrides: object
    ) -> keras.Model:
        """Builds a visual model of this family with random weights; see `devise_tf.models.registry`."""
        cls._check_family(name, f"The architecture {name!r}")
        return build_visual_model(name, num_labels, image_size, dtype, **overrides)

    @classmethod
    def _check_family(cls, visual_model: str, what: str) -> None:
        builder = architecture(visual_model).builder
        if cls is not VisualModel and not (inspect.isclass(builder) and issubclass(builder, cls)):
            raise ValueError(f"{what} is not one of {cls.__name__}. Received: name={visual_model!r}")
