"""Phase 3: DeViSE, and the models that it is compared with."""

import dataclasses
import math

import keras
import tensorflow as tf

from devise_tf.images import ExampleOrder, ImageInput
from devise_tf.models.devise import DeViSE
from devise_tf.models.registry import freeze_layers
from devise_tf.training.phase import Phase
from devise_tf.training.phases.image_batches import LOSS_SCALE, image_batches
from devise_tf.training.phases.moving_label_vectors import TermDraws, TrainedLabelVectors
from devise_tf.training.phases.skip_gram import skip_gram_loss


@dataclasses.dataclass(frozen=True)
class DeviseUpdates:
    """What phase 3 trains, and how fast.

    Attributes:
        learning_rate: Float. Learning rate of the projection.
        cnn_learning_rate: Float. Learning rate of the visual model; None keeps it frozen.
        frozen_layers: String. Layers of the visual model that stay frozen, as in `freeze_layers`.
        half_precision: Boolean. Whether the visual model computes in float16, with float32 weights: gradients are
            scaled then.
    """

    learning_rate: float
    cnn_learning_rate: float | None = None
    frozen_layers: str = ""
    half_precision: bool = False

    def freeze(self, model: DeViSE) -> bool:
        """Freezes what stays as it is; returns whether that is the whole visual model."""
        model.freeze_visual_model(self.cnn_learning_rate is None)
        freeze_layers(model.visual_model, self.frozen_layers)
        return not model.visual_model.trainable_variables

    def of(self, model: DeViSE, steps: int) -> list:
        """Pairs of an optimizer and the variables that it updates."""
        # Adagrad's own decay does the rest; a linear fall to zero settles the last steps.
        pairs = [(keras.optimizers.Adagrad(to_zero(self.learning_rate, steps)), model.projection.trainable_variables)]
        if model.visual_model.trainable_variables and self.cnn_learning_rate is not None:
            optimizer = keras.optimizers.Adagrad(
                to_zero(self.cnn_learning_rate, steps), loss_scale_factor=LOSS_SCALE if self.half_precision else None
            )
            pairs.append((optimizer, model.visual_model.trainable_variables))
        return pairs


def devise_phase(
    name: str,
    model: DeViSE,
    images: ImageInput,
    order: ExampleOrder,
    epochs: float,
    updates: DeviseUpdates,
    trained_vectors: TrainedLabelVectors | None = None,
    draws: TermDraws | None = None,
) -> Phase:
    """Phase 3: the model's loss, with Adagrad.

    Args:
        name: String. Name of the phase, for its checkpoints.
        model: `DeViSE`. The model.
        images: `ImageInput`. Training images; labels are rows of the model's label vectors.
        order: `ExampleOrder`. Their order, and how many a step takes over all replicas.
        epochs: Float. Passes over the images.
        updates: `DeviseUpdates`. What is trained, and how fast.
        trained_vectors: `TrainedLabelVectors`. Trains the label vectors too, beside the skip-gram loss; None keeps them
            fixed.
        draws: `TermDraws`. Draws each label's term anew at every step; None takes the model's label vectors.

    Returns:
        The `Phase`; its metrics are `loss` (an image), `violations` (the share of images with a positive loss) and,
        with `trained_vectors`, `text_loss` (nats a pair).
    """
    steps = math.ceil(epochs * order.steps_per_epoch)
    frozen = updates.freeze(model)

    def loss(batch):
        features = model.visual_model(batch["image"], training=not frozen)
        if updates.half_precision:
            features = times_gradient(tf.cast(features, tf.float32), LOSS_SCALE)
        embeddings = model.embed(features)
        vectors = None if draws is None else draws.label_vectors(order.seed, batch["step"][0])
        if trained_vectors is not None:
            vectors = times_gradient(trained_vectors.label_vectors(), order.global_batch_size)
        losses = model.loss(embeddings, batch["label"], uniforms=batch["uniform"], label_vectors=vectors)
        violations = tf.cast(losses > 0, tf.float32)
        total, weight = tf.reduce_sum(losses * batch["weight"]), tf.reduce_sum(batch["weight"])
        sums = {"loss": (total, weight), "violations": (tf.reduce_sum(violations * batch["weight"]), weight)}
        return total / order.global_batch_size, sums

    phase = Phase(
        name=name,
        model=model,
        updates=updates.of(model, steps),
        loss=loss,
        dataset=image_batches(images, order, with_uniforms=True),
        steps=steps,
        steps_per_epoch=order.steps_per_epoch,
        metrics=("loss", "violations"),
    )
    return phase if trained_vectors is None else _with_text(phase, trained_vectors)


def _with_text(phase: Phase, text: TrainedLabelVectors) -> Phase:
    """The phase with the skip-gram loss beside its own."""

    def loss(batch):
        objective, sums = phase.loss(batch)
        total = skip_gram_loss(text.skip_gram, batch["text"])
        return objective + text.weight * total, {**sums, "text_loss": (total, batch["text"]["pairs"])}

    def dataset(start, stop, context):
        both = tf.data.Dataset.zip(phase.dataset(start, stop, context), text.batches(start, stop, context))
        return both.map(lambda image, blocks: {**image, "text": blocks})

    return dataclasses.replace(
        phase,
        updates=[*phase.updates, (text.optimizer, text.skip_gram.trainable_variables)],
        loss=loss,
        dataset=dataset,
        metrics=(*phase.metrics, "text_loss"),
        checkpointed={"skip_gram": text.skip_gram},
    )


def times_gradient(values: tf.Tensor, factor: float) -> tf.Tensor:
    """The values, unchanged; their gradient times `factor`."""
    return tf.custom_gradient(lambda x: (tf.identity(x), lambda gradient: gradient * factor))(values)


def to_zero(learning_rate: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate that falls to zero in equal steps."""
    return keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, 0.0)
