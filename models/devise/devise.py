"""The deep visual-semantic embedding model."""

import copy

import keras
import numpy as np
from keras import ops

from devise_tf.choices import LABEL_TERMS, LOSSES, MARGIN, PROFILE_TEMPERATURE, TEMPERATURE
from devise_tf.layers import HingeRankLoss
from devise_tf.losses import l2_label_loss, label_softmax_loss

# "none": of no terms.
_LABEL_TERMS = (*LABEL_TERMS, "none")


@keras.saving.register_keras_serializable(package="devise_tf")
class DeViSE(keras.Model):
    """A visual model whose softmax gave way to a linear projection into the space of label vectors.

    ```
    embedding(image) = M representation(image)
    loss(image, label) = one of: max(0, margin - t_label . embedding + t_j . embedding) for false labels j,
                         or |embedding - t_label|^2,
                         or -log softmax_j(t_j . embedding / |embedding| / temperature) [label]
    ```

    with unit-norm label vectors `t`. An image is labelled by the label vectors that have the largest dot product with
    its embedding, whether those labels were trained or not.

    Args:
        visual_model: Keras model from pixels, float32 [B, S, S, 3] in 0..255, to a representation [B, F]; with
            `softmax_weight` to that and the logits of the N trained labels, [B, N].
        label_vectors: float [N, D]. Vectors of the trained labels, brought to unit norm. None where weights will be
            loaded; then `num_labels` and `dimension` give the shape.
        margin: float. Margin of the hinge rank loss.
        loss: `"one"` (the paper's: one margin-violating false label, in random order), `"sum"` (all of them),
            `"hardest"`, `"l2"` (squared distance to the label's vector), or `"softmax"` (over cosines).
        temperature: float. Of the loss `"softmax"`.
        label_terms: What label vectors are made of, for whoever makes those of other labels: `"first"`, `"mean"`,
            `"heads"` or `"random"`, as in `devise_tf.labels.make_label_vectors`, or `"none"`, of no terms.
        profile_references: float [A, W]. With it the label vectors are profiles of similarities to these vectors, see
            `devise_tf.labels.SimilarityProfile`, and D is A; kept as a weight. Where weights will be loaded, the shape.
        profile_temperature: float. Of the profiles.
        softmax_weight: float. With profiles as label vectors, the probabilities of the trained labels are an embedding
            too, that of ConSE. Above 0, `unit(M representation) + softmax_weight unit(probabilities)` is the embedding;
            the loss stays that of `M representation` alone.
        num_labels: int. N, without `label_vectors`.
        dimension: int. D, without `label_vectors`.

    Call arguments:
        pixels: float32 tensor [B, S, S, 3] in 0..255.
        training: bool.

    Output shape:
        float32 [B, D], the embeddings, not normalised.

    Example:

    >>> visual = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    >>> model = DeViSE(visual, label_vectors=np.eye(4))
    >>> model(np.zeros((2, 8, 8, 3))).shape
    TensorShape([2, 4])

    Reference:
        Frome et al., 2013, [DeViSE: A Deep Visual-Semantic Embedding Model](
        https://papers.nips.cc/paper/5204-devise-a-deep-visual-semantic-embedding-model), section 3.
    """

    def __init__(
        self,
        visual_model,
        label_vectors=None,
        margin=MARGIN,
        loss="one",
        temperature=TEMPERATURE,
        label_terms="first",
        profile_references=None,
        profile_temperature=PROFILE_TEMPERATURE,
        softmax_weight=0.0,
        num_labels=None,
        dimension=None,
        name="devise",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if loss not in LOSSES:
            raise ValueError(f"`loss` must be one of {LOSSES}. Received: loss={loss!r}")
        if not temperature > 0:
            raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
        if label_terms not in _LABEL_TERMS:
            raise ValueError(f"`label_terms` must be one of {_LABEL_TERMS}. Received: label_terms={label_terms!r}")
        self.visual_model = visual_model
        self.loss_name, self.temperature, self.label_terms = loss, temperature, label_terms
        self.ranking_loss = HingeRankLoss(
            label_vectors,
            margin=margin,
            violations="one" if loss in ("l2", "softmax") else loss,
            num_labels=num_labels,
            dimension=dimension,
            name="ranking_loss",
        )
        # No bias: the paper's M is a matrix alone (section 3.3).
        self.projection = keras.layers.Dense(
            self.ranking_loss.dimension, use_bias=False, name="projection", dtype="float32"
        )
        shapes = visual_model.output_shape
        self.softmax_weight = softmax_weight
        with_logits = isinstance(shapes, list) and shapes[1][-1] == self.ranking_loss.num_labels
        if softmax_weight < 0 or (softmax_weight and (profile_references is None or not with_logits)):
            raise ValueError(
                "`softmax_weight` must not be negative; above 0 it needs `profile_references`, and a visual model that "
                f"gives the representation and the logits of the {self.ranking_loss.num_labels} trained labels, all of "
                f"which have a vector. Received: softmax_weight={softmax_weight}, outputs {shapes}"
            )
        self.projection.build((None, (shapes[0] if softmax_weight else shapes)[-1]))
        self.profile_references, self.profile_temperature = None, profile_temperature
        if profile_references is not None:
            given = np.shape(profile_references) != (2,)
            shape = np.shape(profile_references) if given else tuple(profile_references)
            if len(shape) != 2 or shape[0] != self.ranking_loss.dimension:
                raise ValueError(
                    f"`profile_references` must have the shape [{self.ranking_loss.dimension}, W], a vector for each "
                    f"dimension of the label vectors. Received: shape {shape}"
                )
            self.profile_references = self.add_weight(
                name="profile_references",
                shape=shape,
                initializer="zeros",
                dtype="float32",
                trainable=False,
                autocast=False,
            )
            if given:
                self.profile_references.assign(profile_references)
        if not self.ranking_loss.built:
            self.ranking_loss.build((None, self.ranking_loss.dimension), (None,))
        self.built = True

    def call(self, pixels, training=None):
        return self.embed(self.visual_model(pixels, training=training))

    def embed(self, features):
        """The embeddings, float32 [B, D], of what the visual model gives."""
        if not self.softmax_weight:
            return self.projection(features)
        representation, logits = features
        probabilities = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        embeddings = ops.normalize(self.projection(representation), axis=-1)
        return embeddings + self.softmax_weight * ops.normalize(probabilities, axis=-1)

    def label_loss(self, embeddings, labels, uniforms=None, label_vectors=None):
        """The loss of each example.

        Args:
            embeddings: float32 tensor [B, D].
            labels: int tensor [B]. Rows of the label vectors.
            uniforms: float32 tensor [B] in [0, 1). Chooses the violating false label; drawn if not given.
            label_vectors: float32 tensor [N, D] of unit-norm vectors to use in place of the model's own, for label
                vectors that are being trained.

        Returns:
            float32 tensor [B].
        """
        if self.loss_name in ("l2", "softmax"):
            vectors = self.ranking_loss.label_vectors if label_vectors is None else label_vectors
            if self.loss_name == "l2":
                return l2_label_loss(embeddings, labels, vectors)
            return label_softmax_loss(embeddings, labels, vectors, self.temperature)
        return self.ranking_loss(embeddings, labels, uniforms=uniforms, label_vectors=label_vectors)

    def with_softmax(self, classifier, weight):
        """The model with a classifier's probabilities in its embedding.

        Args:
            classifier: The Keras model from pixels to the logits of the trained labels whose layer `representation` the
                projection was trained on, as it was then.
            weight: float, `softmax_weight`.

        Returns:
            A new `DeViSE` that runs the classifier once.
        """
        both = keras.Model(classifier.input, [classifier.get_layer("representation").output, classifier.output])
        changed = {
            "visual_model": both,
            "softmax_weight": weight,
            "profile_references": ops.convert_to_numpy(self.profile_references),
        }
        made = type(self)(
            **{**self.get_config(), **changed}, label_vectors=ops.convert_to_numpy(self.ranking_loss.label_vectors)
        )
        made.projection.set_weights(self.projection.get_weights())
        return made

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean loss of a batch, for `fit`."""
        if self.softmax_weight:
            raise ValueError(f"Train the model before `with_softmax`. Received: softmax_weight={self.softmax_weight}")
        losses = self.label_loss(y_pred, y)
        if sample_weight is not None:
            losses = losses * ops.cast(sample_weight, losses.dtype)
        return ops.mean(losses)

    def freeze_visual_model(self, frozen=True):
        """Freezes the visual model, or sets it free but for its batch normalisation, whose statistics stay."""
        self.visual_model.trainable = not frozen
        if not frozen:
            for layer in self.visual_model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False

    def get_config(self):
        return {
            **super().get_config(),
            "visual_model": keras.saving.serialize_keras_object(self.visual_model),
            "margin": self.ranking_loss.margin,
            "loss": self.loss_name,
            "temperature": self.temperature,
            "label_terms": self.label_terms,
            "profile_references": None if self.profile_references is None else list(self.profile_references.shape),
            "profile_temperature": self.profile_temperature,
            "softmax_weight": self.softmax_weight,
            "num_labels": self.ranking_loss.num_labels,
            "dimension": self.ranking_loss.dimension,
        }

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras empties the configs that it reads
        return cls(**{**config, "visual_model": keras.saving.deserialize_keras_object(config["visual_model"])})
