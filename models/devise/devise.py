"""The deep visual-semantic embedding model."""

import copy
import dataclasses
from typing import Any

import keras
from keras import ops

from devise_tf.label_ids import per_example
from devise_tf.labels import LabelSet, WordSpace
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.layers import HingeRankLoss, LabelLoss
from devise_tf.models.devise.closed_form import closed_form_projection
from devise_tf.models.devise.earlier_config import current_arguments, is_earlier
from devise_tf.models.devise.space_recipe import SpaceRecipe
from devise_tf.models.pretrained import Preset, load_preset
from devise_tf.models.registry import representation_model
from devise_tf.models.visual_model import VisualModel
from devise_tf.text.joined_vectors import load_joined_vectors


@keras.saving.register_keras_serializable(package="devise_tf")
class DeViSE(keras.Model):
    """A visual model whose softmax gave way to a linear projection into the space of label vectors.

    ```
    embedding(image) = M representation(image)
    ```

    An image is labeled by the label vectors that have the largest dot product with its embedding, whether those labels
    were trained or not. `compile` takes an optimizer and metrics, no loss: `fit` minimizes the model's own.

    Args:
        visual_model: Keras model. From pixels, float32 `[B, S, S, 3]` in 0 to 255, to a representation `[B, F]`.
        label_vectors: Float array, `[N, D]`. Vectors of the trained labels, brought to unit norm. May be left out if
            `loss` has them, or their shape, which is enough where weights will be loaded.
        loss: `LabelLoss`. `HingeRankLoss` (the paper's, the default), `LabelDistanceLoss` or `LabelSoftmaxLoss`. It
            holds the label vectors, and takes `label_vectors` where they are given.
        space_recipe: `SpaceRecipe`. What the label vectors are made of; of the labels' first terms by default.
        **kwargs: `name`, `dtype` of `keras.Model`.

    Call arguments:
        pixels: Float32 tensor, `[B, S, S, 3]` in 0 to 255.
        training: Bool.

    Output shape:
        Float32, `[B, D]`. The embeddings, not normalized.

    Raises:
        ValueError: An argument is not as above, or the parts do not fit each other.

    Example:

    >>> visual = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    >>> model = DeViSE(visual, label_vectors=np.eye(4), loss=HingeRankLoss(margin=0.2))
    >>> model(np.zeros((2, 8, 8, 3))).shape
    TensorShape([2, 4])

    Reference:
        - Frome et al., 2013, [DeViSE: A Deep Visual-Semantic Embedding Model](
          https://papers.nips.cc/paper/5204-devise-a-deep-visual-semantic-embedding-model), section 3.
    """

    visual_model: keras.Model
    ranking_loss: LabelLoss
    projection: keras.layers.Dense
    profile_references: keras.Variable | None
    _space_recipe: SpaceRecipe
    is_fused = False

    def __init__(
        self,
        visual_model: keras.Model,
        label_vectors: Any = None,
        loss: LabelLoss | None = None,
        space_recipe: SpaceRecipe | None = None,
        name: str = "devise",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        loss = HingeRankLoss() if loss is None else loss
        if not isinstance(loss, LabelLoss):
            raise ValueError(f"`loss` must be a `LabelLoss`, such as `HingeRankLoss()`. Received: loss={loss!r}")
        if label_vectors is not None:
            loss.set_label_vectors(label_vectors)
        if loss.label_vectors is None:
            raise ValueError(
                "Either `label_vectors`, or a `loss` with label vectors or both `num_labels` and `dimension` must be "
                f"given. Received: label_vectors=None, loss={loss!r}"
            )
        # Checkpoints of earlier versions have the loss by this name.
        self.ranking_loss = loss
        self.visual_model, self._space_recipe = visual_model, space_recipe or SpaceRecipe()
        # No bias: the paper's M is a matrix alone (section 3.3).
        self.projection = keras.layers.Dense(loss.dimension, use_bias=False, name="projection", dtype="float32")
        self.projection.build((None, self._num_features()))
        self.profile_references = self._add_references(self._space_recipe.profile)
        if not loss.built:
            loss.build((None, loss.dimension), (None,))
        self.built = True

    def _num_features(self) -> int:
        return self.visual_model.output_shape[-1]

    def _add_references(self, profile: SimilarityProfile | None) -> keras.Variable | None:
        """The references of a profile as a weight, so that files of weights restore them."""
        if profile is None:
            return None
        if len(profile.references) != self.loss.dimension:
            raise ValueError(
                f"The references of `space_recipe.profile` must have the shape [{self.loss.dimension}, W], a vector "
                f"for each dimension of the label vectors. Received: shape {profile.references.shape}"
            )
        references = self.add_weight(
            name="profile_references",
            shape=profile.references.shape,
            initializer="zeros",
            dtype="float32",
            trainable=False,
            autocast=False,
        )
        references.assign(profile.references)
        return references

    @property
    def loss(self) -> LabelLoss:
        """The loss that `fit` minimizes."""
        return self.ranking_loss

    @loss.setter
    def loss(self, value: None) -> None:
        # Keras's `compile` sets the loss that it is given.
        if value is not None:
            raise ValueError(f"`compile` takes no loss: give it to `{type(self).__name__}`. Received: loss={value!r}")

    @property
    def label_vectors(self) -> keras.Variable:
        """The unit-norm vectors of the trained labels, float32 `[N, D]`."""
        return self.loss.label_vectors

    @property
    def space_recipe(self) -> SpaceRecipe:
        """What the label vectors are made of, with the references as the weights have them."""
        profile = self._space_recipe.profile
        if profile is None:
            return self._space_recipe
        references = ops.convert_to_numpy(self.profile_references)
        return dataclasses.replace(self._space_recipe, profile=SimilarityProfile(references, profile.temperature))

    def call(self, pixels: Any, training: bool | None = None) -> Any:
        return self.embed(self.visual_model(pixels, training=training))

    def embed(self, representation: Any, logits: Any = None) -> Any:
        """The embeddings of what the network gives.

        Args:
            representation: Float tensor, `[B, F]`.
            logits: Float tensor, `[B, N]`. Of the softmax on the same network; no part of the embedding here.

        Returns:
            Float32 tensor, `[B, D]`.
        """
        return self.projection(representation)

    def make_train_function(self, force: bool = False) -> Any:
        self.loss.check_label_vectors()  # the compiled function could not
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        self.loss.check_label_vectors()
        return super().make_test_function(force)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The mean loss of a batch, for `fit`."""
        losses = self.loss(y_pred, y)
        if sample_weight is not None:
            weights = per_example(sample_weight, losses.shape, "sample_weight")
            losses = losses * ops.cast(weights, losses.dtype)
        return ops.mean(losses)

    def freeze_visual_model(self, frozen: bool = True) -> None:
        """Freezes the visual model, or sets it free but for its batch normalization, whose statistics stay."""
        self.visual_model.trainable = not frozen
        if not frozen:
            for layer in self.visual_model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "visual_model": keras.saving.serialize_keras_object(self.visual_model),
            "loss": keras.saving.serialize_keras_object(self.loss),
            "space_recipe": self._space_recipe.get_config(),
        }

    @classmethod
    def from_preset(cls, name: str, model: str | None = None) -> "DeViSE":
        """Builds a pretrained model.

        Args:
            name: String. Name of a preset (`python -m devise_tf.models list`), or the path of a preset's file.
            model: String. One of the preset's models of this class; by default the first.

        Returns:
            A `DeViSE`, ready to be called or trained on; of `SoftmaxFusion.from_preset`, a `SoftmaxFusion`.

        Raises:
            ValueError: There is no such preset, or it has no such model of this class.

        Example:

        >>> model = DeViSE.from_preset("efficientnet_lite0")
        >>> model.compile(keras.optimizers.Adagrad(0.01))
        >>> model.fit(images, labels)  # rows of model.label_vectors
        """
        preset = load_preset(name)
        own = preset.heads(fused=cls.is_fused)
        if model not in (None, *own) or not own:
            raise ValueError(
                f"`model` must be one of {own}, the {cls.__name__} models of {name!r}. Received: model={model!r}"
            )
        return cls.of_preset(preset, model or own[0], VisualModel.from_preset(name))

    @classmethod
    def of_preset(cls, preset: Preset, model: str, softmax: keras.Model) -> "DeViSE":
        """Builds a model of a preset on the preset's softmax network, whose layers it shares."""
        network, labels = preset.networks[model], LabelSet.load(preset.file(preset.labels))
        settings, terms = network["settings"], load_joined_vectors(preset.vector_files(), labels.term_filter())
        label_terms, described = preset.label_terms(model), preset.described_terms()
        space = WordSpace(*terms, label_terms, None, "compose", described=described)
        if "profile_temperature" in settings:
            space = space.with_profile(labels, settings["profile_temperature"])
        vectors, recipe = space.table(labels).values, SpaceRecipe(space.label_terms, space.profile, bool(described))
        result = DeViSE(representation_model(softmax), vectors, space_recipe=recipe, name=model)
        kernel = softmax.get_layer("logits").kernel
        result.projection.set_weights([closed_form_projection(kernel, vectors, network["ridge"])])
        return result

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DeViSE":
        config = copy.deepcopy(config)  # Keras empties the configs that it reads
        visual_model = keras.saving.deserialize_keras_object(config.pop("visual_model"))
        if is_earlier(config):
            arguments = current_arguments(config)
            fused = "softmax_weight" in arguments
            return (keras.saving.get_registered_object("devise_tf>SoftmaxFusion") if fused else cls)(
                visual_model, **arguments
            )
        loss = keras.saving.deserialize_keras_object(config.pop("loss"))
        recipe = SpaceRecipe.from_config(config.pop("space_recipe"))
        return cls(visual_model, loss=loss, space_recipe=recipe, **config)
