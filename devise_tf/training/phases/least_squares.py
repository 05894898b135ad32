"""The projection of the L2 loss on a frozen CNN: solved, not trained."""

import math
from typing import Any

import tensorflow as tf

from devise_tf.images import ExampleOrder, ImageInput
from devise_tf.models.devise import DeViSE
from devise_tf.models.devise.closed_form import least_squares_projection
from devise_tf.training.phases.image_batches import image_batches


def solve_projection(
    model: DeViSE,
    images: ImageInput,
    order: ExampleOrder,
    epochs: float,
    ridge: float,
    strategy: tf.distribute.Strategy,
) -> None:
    """Sets a model's projection to the least mean squared distance between embeddings and label vectors.

    Args:
        model: `DeViSE`. The model, whose CNN stays as it is.
        images: `ImageInput`. Training images; labels are rows of the model's label vectors.
        order: `ExampleOrder`. Their order, and how many are read at once over all replicas.
        epochs: Float. Passes over the images, each with crops of its own.
        ridge: Float. As of `least_squares_projection`.
        strategy: `tf.distribute.Strategy`. The strategy under whose scope the model was made.
    """
    steps, (features, dimension) = math.ceil(epochs * order.steps_per_epoch), model.projection.kernel.shape
    model.freeze_visual_model(True)
    batches = image_batches(images, order)
    dataset = iter(strategy.distribute_datasets_from_function(lambda context: batches(0, steps, context)))
    with strategy.scope():
        gram, cross, weight = _sum((features, features)), _sum((features, dimension)), _sum(())

    @tf.autograph.experimental.do_not_convert
    def add(batch: Any) -> None:
        values = tf.cast(model.visual_model(batch["image"], training=False), tf.float32)
        weighted = values * batch["weight"][:, None]
        gram.assign_add(tf.cast(tf.matmul(weighted, values, transpose_a=True), tf.float64))
        vectors = tf.gather(tf.convert_to_tensor(model.label_vectors), batch["label"])
        cross.assign_add(tf.cast(tf.matmul(weighted, vectors, transpose_a=True), tf.float64))
        weight.assign_add(tf.reduce_sum(tf.cast(batch["weight"], tf.float64)))

    step = tf.function(lambda batch: strategy.run(add, (batch,)), autograph=False)
    for _ in range(steps):
        step(next(dataset))
    total = weight.numpy()
    model.projection.kernel.assign(least_squares_projection(gram.numpy() / total, cross.numpy() / total, ridge))


def _sum(shape: tuple[int, ...]) -> tf.Variable:
    return tf.Variable(
        tf.zeros(shape, tf.float64),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
