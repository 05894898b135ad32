"""A DeViSE model whose embedding has the softmax's probabilities beside the projection."""

from typing import Any

import keras
from keras import ops

from devise_tf.models.devise.devise import DeViSE
from devise_tf.models.pretrained import Preset


@keras.saving.register_keras_serializable(package="devise_tf")
class SoftmaxFusion(DeViSE):
    """A trained `DeViSE` and the softmax that its network had, fused into one embedding.

    ```
    embedding(image) = unit(M representation(image)) + softmax_weight unit(probabilities(image))
    ```

    Where label vectors are profiles of similarities to the trained labels, the probabilities of these are an embedding
    too, that of ConSE. The network runs once for both. `fuse_softmax` makes the model of a trained one; it is not
    trained itself: `fit` raises a `ValueError`.

    Args:
        visual_model: Keras model. From pixels, float32 `[B, S, S, 3]` in 0 to 255, to two outputs, a representation
            `[B, F]` and the logits of the trained labels, `[B, N]`.
        softmax_weight: Float, `> 0`.
        **kwargs: `label_vectors`, `loss`, `space_recipe`, `name`, `dtype` of `DeViSE`; the recipe has a profile.

    Call arguments:
        pixels: Float32 tensor, `[B, S, S, 3]` in 0 to 255.
        training: Bool.

    Output shape:
        Float32, `[B, D]`. The embeddings, not normalized.

    Raises:
        ValueError: As of `DeViSE`, or `softmax_weight` or what it needs is not as above.
    """

    is_fused = True

    def __init__(self, visual_model: keras.Model, softmax_weight: float, **kwargs: Any):
        super().__init__(visual_model, **kwargs)
        outputs, num_labels = visual_model.output_shape, self.loss.num_labels
        both = isinstance(outputs, list) and len(outputs) == 2 and outputs[1][-1] == num_labels
        if not softmax_weight > 0 or not both or self.profile_references is None:
            raise ValueError(
                "`softmax_weight` must be positive, and needs a profile in `space_recipe` and a visual model that "
                f"gives the representation and the logits of the {num_labels} trained labels, all with a vector. "
                f"Received: softmax_weight={softmax_weight}, outputs {outputs}"
            )
        self.softmax_weight = softmax_weight

    def _num_features(self) -> int:
        outputs = self.visual_model.output_shape
        return (outputs[0] if isinstance(outputs, list) else outputs)[-1]

    def call(self, pixels: Any, training: bool | None = None) -> Any:
        return self.embed(*self.visual_model(pixels, training=training))

    def embed(self, representation: Any, logits: Any = None) -> Any:
        probabilities = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        embeddings = ops.normalize(self.projection(representation), axis=-1)
        return embeddings + self.softmax_weight * ops.normalize(probabilities, axis=-1)

    @classmethod
    def of_preset(cls, preset: Preset, model: str, softmax: keras.Model) -> "SoftmaxFusion":
        weight = preset.networks[model]["settings"]["softmax_weight"]
        return fuse_softmax(super().of_preset(preset, model, softmax), softmax, weight)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        raise ValueError(f"Train the model before `fuse_softmax`. Received: softmax_weight={self.softmax_weight}")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "softmax_weight": self.softmax_weight}


def fuse_softmax(model: DeViSE, classifier: keras.Model, softmax_weight: float) -> SoftmaxFusion:
    """Fuses a trained model with the softmax that its network had.

    Args:
        model: `DeViSE`. Its label vectors are profiles of similarities to the trained labels.
        classifier: Keras model. From pixels to the logits of these labels; the projection was trained on its layer
            `representation`, as it was then.
        softmax_weight: Float, `> 0`.

    Returns:
        A new `SoftmaxFusion` that runs the classifier once. Layers of the classifier are shared, not copied.

    Raises:
        ValueError: The classifier is of other labels, or an argument is not as above.
    """
    both = keras.Model(classifier.input, [classifier.get_layer("representation").output, classifier.output])
    fused = SoftmaxFusion(
        both,
        softmax_weight,
        loss=model.loss.from_config(model.loss.get_config()),
        label_vectors=ops.convert_to_numpy(model.label_vectors),
        space_recipe=model.space_recipe,
        name=model.name,
    )
    fused.projection.set_weights(model.projection.get_weights())
    return fused
