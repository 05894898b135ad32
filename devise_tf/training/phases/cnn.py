"""Phase 2: the visual model with its softmax."""

import math

import keras
import tensorflow as tf

from devise_tf.config import Config
from devise_tf.images import ExampleOrder, ImageInput
from devise_tf.model_dir import CNN
from devise_tf.models.registry import build_visual_model, freeze_layers
from devise_tf.models.visual_weights import load_visual_weights
from devise_tf.training.context import RunContext
from devise_tf.training.inputs import Inputs
from devise_tf.training.phase import Phase
from devise_tf.training.phases.image_batches import LOSS_SCALE, image_batches


def cnn_phase(
    model: keras.Model,
    images: ImageInput,
    order: ExampleOrder,
    epochs: float,
    learning_rate: float,
    weight_decay: float,
    half_precision: bool = False,
) -> Phase:
    """Phase 2: softmax cross-entropy, stochastic gradient descent with momentum 0.9 and a cosine learning rate.

    Args:
        model: `keras.Model`. Visual model that ends in logits; frozen layers stay as they are.
        images: `ImageInput`. Training images.
        order: `ExampleOrder`. Their order, and how many a step takes over all replicas.
        epochs: Float. Passes over the images.
        learning_rate: Float. Peak, reached after a twentieth of the steps.
        weight_decay: Float. Weight decay of kernels.
        half_precision: Boolean. Whether the model computes in float16, with float32 weights: gradients are scaled then.

    Returns:
        The `Phase`; its metrics are `loss` (nats an image) and `accuracy`.
    """
    steps = math.ceil(epochs * order.steps_per_epoch)
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.SGD(
        schedule,
        momentum=0.9,
        nesterov=True,
        weight_decay=weight_decay,
        loss_scale_factor=LOSS_SCALE if half_precision else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])

    def loss(batch):
        logits = model(batch["image"], training=True)
        losses = keras.losses.sparse_categorical_crossentropy(batch["label"], logits, from_logits=True)
        right = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), batch["label"]), tf.float32)
        total, weight = tf.reduce_sum(losses * batch["weight"]), tf.reduce_sum(batch["weight"])
        return optimizer.scale_loss(total / order.global_batch_size), {
            "loss": (total, weight),
            "accuracy": (tf.reduce_sum(right * batch["weight"]), weight),
        }

    return Phase(
        name=CNN,
        model=model,
        updates=[(optimizer, model.trainable_variables)],
        loss=loss,
        dataset=image_batches(images, order),
        steps=steps,
        steps_per_epoch=order.steps_per_epoch,
        metrics=("loss", "accuracy"),
    )


def first_visual_model(run: RunContext, num_labels: int) -> tuple[keras.Model, str]:
    """The visual model as phase 2 begins with it, and what to say about its weights.

    Raises:
        ValueError: The model or its weights do not exist, or do not fit the run.
    """
    config = run.config
    with run.strategy.scope():
        keras.utils.set_random_seed(config.seed)
        model = build_visual_model(config.visual_model, num_labels, config.image_size, config.dtype)
        freeze_layers(model, config.frozen_layers)
        if not config.visual_weights:
            return model, ""
        weights_labels = load_visual_weights(model, config.visual_model, config.visual_weights)
    _check_untrained(config, num_labels, weights_labels)
    softmax = "kept" if weights_labels == num_labels else f"new, since theirs is for {weights_labels or 'no'} labels"
    return model, f"Weights: {config.visual_weights}; softmax: {softmax}"


def _check_untrained(config: Config, num_labels: int, weights_labels: int) -> None:
    if not config.cnn_epochs and weights_labels != num_labels:
        raise ValueError(
            f"If the CNN is not trained, the softmax layer of its weights must be for the run's {num_labels} seen "
            f"labels, but it is for {weights_labels or 'none'}: set `cnn_epochs` above 0. "
            f"Received: cnn_epochs=0, visual_weights={config.visual_weights!r}"
        )


def train_visual_model(run: RunContext, inputs: Inputs, model: keras.Model, about_weights: str) -> None:
    """Trains the visual model as far as the settings say, and saves it."""
    config = run.config
    run.say(f"\nPhase 2: {config.visual_model} with softmax, {len(inputs.seen)} labels")
    if about_weights:
        run.say(about_weights)
    if config.cnn_epochs:
        source = inputs.source("train").select(inputs.seen)
        with run.strategy.scope():
            phase = cnn_phase(
                model,
                run.images(source),
                ExampleOrder(len(source), config.cnn_batch_size, config.seed),
                config.cnn_epochs,
                config.cnn_learning_rate,
                config.weight_decay,
                half_precision=config.dtype == "mixed_float16",
            )
        run.train(phase)
    run.save_model(model, CNN)
