"""Batches of training images, for the phases that train on them."""

from collections.abc import Callable

import tensorflow as tf

from devise_tf.images import ExampleOrder, ImageInput, image_dataset

# Gradients in float16 are computed this many times larger: small ones would be 0 there.
LOSS_SCALE = 1024.0


def image_batches(
    images: ImageInput, order: ExampleOrder, with_uniforms: bool = False
) -> Callable[[int, int, tf.distribute.InputContext], tf.data.Dataset]:
    """Gives a phase its `dataset` of augmented training images.

    Args:
        images: `ImageInput`. The images.
        order: `ExampleOrder`. The order of the examples.
        with_uniforms: Boolean. Whether each example has a uniform random number and its step, too.
    """

    @tf.autograph.experimental.do_not_convert
    def add_uniform(example):
        # Another stream than the augmentation's.
        uniform = tf.random.stateless_uniform([], seed=example["seed"] + tf.constant([1, 7919]))
        return {**example, "uniform": uniform, "step": order.step(example["seed"])}

    def dataset(start, stop, context):
        examples = image_dataset(images, order.dataset(start, stop, context), training=True)
        if with_uniforms:
            examples = examples.map(add_uniform)
        return examples.batch(order.per_replica_batch_size(context), drop_remainder=True).prefetch(2)

    return dataset
