"""The phases of DeViSE, as things that the training loop can run."""

import math
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from devise_tf.images import BadImages, Crop, ExampleOrder, ImageInput, ImageSource, image_dataset
from devise_tf.models.devise import DeViSE
from devise_tf.models.skip_gram import SkipGram
from devise_tf.models.visual import freeze_layers
from devise_tf.text import SkipGramBlocks
from devise_tf.training.loop import Phase

# Gradients in float16 are this much larger than they are: the small ones would be 0 there.
_LOSS_SCALE = 1024.0


def skip_gram_batches(blocks: SkipGramBlocks, order: ExampleOrder, start: int, stop: int, context) -> tf.data.Dataset:
    """Batches of skip-gram blocks for one replica: `order`'s chunks in `order`'s order."""
    signature = {
        "contexts": ((None, None), tf.int32),
        "mask": ((None, None, None), tf.uint8),
        "nodes": ((None, None), tf.int32),
        "signs": ((None, None, None), tf.int8),
        "context_scales": ((None, None), tf.float32),
        "node_scales": ((None, None), tf.float32),
        "pairs": ((), tf.int64),
    }

    def make(index, epoch):
        batch = blocks.batch(index, epoch, order.seed)
        return [batch[name] for name in signature]

    def load(example):
        values = tf.numpy_function(
            make, [example["index"], example["epoch"]], [dtype for _, dtype in signature.values()]
        )
        return {
            name: tf.ensure_shape(value, shape)
            for (name, (shape, _)), value in zip(signature.items(), values, strict=True)
        }

    examples = order.dataset(start, stop, context)
    examples = examples.batch(order.per_replica_batch_size(context), drop_remainder=True)
    return examples.map(load, num_parallel_calls=2, deterministic=True).prefetch(4)


def skip_gram_loss(model: SkipGram, batch) -> tf.Tensor:
    """The summed loss of a batch of blocks, nats."""
    return model.block_loss(**{name: value for name, value in batch.items() if name != "pairs"}, gather=_gather)


def _gather(variable, ids):
    # Reads the rows alone; `keras.ops.take` makes a copy of the whole table first.
    return tf.gather(variable.value, ids)


def skip_gram_phase(
    model: SkipGram,
    blocks: SkipGramBlocks,
    epochs: float,
    learning_rate: float = 0.025,
    final_learning_rate: float = 1e-4,
    seed: int = 0,
    threads: int | None = None,
) -> Phase:
    """Phase 1: plain stochastic gradient descent with a linearly falling learning rate, as in word2vec.

    Args:
        model: The model, made under the strategy's scope, as in all phases.
        blocks: The examples; a step takes `blocks.chunks_per_step` chunks, over all replicas.
        epochs: Passes over the corpus.
        learning_rate: At the start.
        final_learning_rate: At the end.
        seed: Of the order, the subsampling and the windows.
        threads: Trains with `SkipGramEngine` in this many threads, 0 for one a core; by default with Keras operations.

    Returns:
        The phase; its metric `loss` is nats a pair.
    """
    order = ExampleOrder(blocks.num_chunks, blocks.chunks_per_step, seed)
    steps = math.ceil(epochs * order.steps_per_epoch)
    schedule = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, final_learning_rate)

    def loss(batch):
        total = skip_gram_loss(model, batch)
        return total, {"loss": (total, batch["pairs"])}

    optimizer = keras.optimizers.SGD(schedule)
    return Phase(
        name="skip_gram",
        model=model,
        updates=[(optimizer, model.trainable_variables)],
        loss=loss,
        dataset=lambda start, stop, context: skip_gram_batches(blocks, order, start, stop, context),
        steps=steps,
        steps_per_epoch=order.steps_per_epoch,
        stepper=None if threads is None else _EngineSteps(model, blocks, order, optimizer, schedule, threads),
    )


class _EngineSteps:
    """Steps of the skip-gram phase, taken by the engine."""

    def __init__(self, model, blocks, order, optimizer, schedule, threads):
        self.model, self.blocks, self.order, self.threads = model, blocks, order, threads
        self.optimizer, self.schedule = optimizer, schedule
        # A second or so, so that threads seldom wait for each other.
        self.least_steps = math.ceil(1_000_000 / (order.global_batch_size * blocks.chunk_size))

    def load(self):
        from devise_tf.training.skip_gram_engine import SkipGramEngine

        self.engine = SkipGramEngine(self.blocks, *self._tables(), threads=self.threads, seed=self.order.seed)

    def _tables(self):
        return self.model.embedding.embeddings.value, self.model.hierarchical_softmax.nodes.value

    def take(self, start, stop):
        size = self.order.global_batch_size
        examples = self.order.examples(tf.range(start * size, stop * size, dtype=tf.int64))
        rates = np.repeat(self.schedule(tf.range(start, stop)).numpy(), size)
        # Measuring the loss of all blocks would take a good part of the time.
        measured = min(16, 1 + len(rates) * self.blocks.chunk_size // 100_000)
        sums = self.engine.train(examples["index"].numpy(), examples["epoch"].numpy(), rates, measured)
        return {"loss": sums["nats"] / max(1.0, sums["measured_pairs"])}

    def store(self, step):
        from devise_tf.training.skip_gram_engine import row_slices

        for table, trained in zip(self._tables(), (self.engine.vectors(), self.engine.nodes()), strict=True):
            for rows in row_slices(len(trained)):
                table[rows].assign(trained[rows])
        self.optimizer.iterations.assign(step)


def image_batches(
    source: ImageSource,
    order: ExampleOrder,
    image_size: int,
    resize_size: int,
    bad_images: BadImages,
    with_uniforms: bool = False,
) -> Callable[[int, int, tf.distribute.InputContext], tf.data.Dataset]:
    """Gives a phase its `dataset`: augmented training images, each with a uniform number and its step if asked for."""

    def add_uniform(example):
        # Another stream than the augmentation's.
        uniform = tf.random.stateless_uniform([], seed=example["seed"] + tf.constant([1, 7919]))
        return {**example, "uniform": uniform, "step": order.step(example["seed"])}

    def dataset(start, stop, context):
        examples = order.dataset(start, stop, context)
        images = ImageInput(source, Crop(image_size, resize_size), bad_images)
        examples = image_dataset(images, examples, training=True)
        if with_uniforms:
            examples = examples.map(add_uniform, num_parallel_calls=tf.data.AUTOTUNE)
        return examples.batch(order.per_replica_batch_size(context), drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    return dataset


def cnn_phase(
    model: keras.Model,
    source: ImageSource,
    epochs: float,
    batch_size: int,
    image_size: int,
    resize_size: int,
    bad_images: BadImages,
    learning_rate: float,
    weight_decay: float,
    seed: int = 0,
    half_precision: bool = False,
) -> Phase:
    """Phase 2: softmax cross-entropy, stochastic gradient descent with momentum 0.9 and a cosine learning rate.

    Args:
        model: Visual model that ends in logits; layers that are frozen stay as they are.
        source: Training images.
        epochs: Passes over the images.
        batch_size: Images a step, over all replicas.
        image_size: Side of the crops, pixels.
        resize_size: Shorter side of the image that they are cut from, pixels.
        bad_images: Where unreadable images are counted.
        learning_rate: Peak, reached after a twentieth of the steps.
        weight_decay: On kernels only.
        seed: Of order and augmentation.
        half_precision: Whether the model computes in float16, with float32 weights: gradients are scaled then.

    Returns:
        The phase; its metrics are `loss` (nats an image) and `accuracy`.
    """
    order = ExampleOrder(len(source), batch_size, seed)
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
        loss_scale_factor=_LOSS_SCALE if half_precision else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])

    def loss(batch):
        logits = model(batch["image"], training=True)
        losses = keras.losses.sparse_categorical_crossentropy(batch["label"], logits, from_logits=True)
        right = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), batch["label"]), tf.float32)
        total, weight = tf.reduce_sum(losses * batch["weight"]), tf.reduce_sum(batch["weight"])
        return optimizer.scale_loss(total / batch_size), {
            "loss": (total, weight),
            "accuracy": (tf.reduce_sum(right * batch["weight"]), weight),
        }

    return Phase(
        name="cnn",
        model=model,
        updates=[(optimizer, model.trainable_variables)],
        loss=loss,
        dataset=image_batches(source, order, image_size, resize_size, bad_images),
        steps=steps,
        steps_per_epoch=order.steps_per_epoch,
        metrics=("loss", "accuracy"),
    )


def devise_phase(
    name: str,
    model: DeViSE,
    source: ImageSource,
    epochs: float,
    batch_size: int,
    image_size: int,
    resize_size: int,
    bad_images: BadImages,
    learning_rate: float,
    cnn_learning_rate: float | None = None,
    seed: int = 0,
    text: "TrainedLabelVectors | None" = None,
    draws: "TermDraws | None" = None,
    frozen_layers: str = "",
    half_precision: bool = False,
) -> Phase:
    """Phase 3: the ranking loss, with Adagrad.

    Args:
        name: Name of the phase, for its checkpoints.
        model: The model.
        source: Training images; labels are rows of the model's label vectors.
        epochs: Passes over the images.
        batch_size: Images a step, over all replicas.
        image_size: Side of the crops, pixels.
        resize_size: Shorter side of the image that they are cut from, pixels.
        bad_images: Where unreadable images are counted.
        learning_rate: Of the projection.
        cnn_learning_rate: Of the visual model; None keeps it frozen.
        seed: Of order, augmentation and false labels.
        text: Trains the label vectors too, beside the skip-gram loss; None keeps them fixed.
        draws: Draws each label's term anew at every step; None takes the model's label vectors.
        frozen_layers: Layers of the visual model that stay frozen, as in `freeze_layers`.
        half_precision: Whether the visual model computes in float16, with float32 weights: gradients are scaled then.

    Returns:
        The phase; its metrics are `loss` (an image), `violations` (the share of images with a positive loss) and,
        with `text`, `text_loss` (nats a pair).
    """
    order = ExampleOrder(len(source), batch_size, seed)
    steps = math.ceil(epochs * order.steps_per_epoch)
    model.freeze_visual_model(cnn_learning_rate is None)
    freeze_layers(model.visual_model, frozen_layers)
    frozen = not model.visual_model.trainable_variables
    # Adagrad's own decay does the rest; a linear fall to zero settles the last steps.
    updates = [(keras.optimizers.Adagrad(_to_zero(learning_rate, steps)), model.projection.trainable_variables)]
    if not frozen:
        optimizer = keras.optimizers.Adagrad(
            _to_zero(cnn_learning_rate, steps), loss_scale_factor=_LOSS_SCALE if half_precision else None
        )
        updates.append((optimizer, model.visual_model.trainable_variables))
    dataset = image_batches(source, order, image_size, resize_size, bad_images, with_uniforms=True)
    metrics = ("loss", "violations")
    if text is not None:
        updates.append((text.optimizer, text.skip_gram.trainable_variables))
        metrics += ("text_loss",)
        images = dataset

        def dataset(start, stop, context):
            both = tf.data.Dataset.zip(images(start, stop, context), text.batches(start, stop, context))
            return both.map(lambda image, blocks: {**image, "text": blocks})

    def loss(batch):
        features = model.visual_model(batch["image"], training=not frozen)
        if half_precision:
            features = _times_gradient(tf.cast(features, tf.float32), _LOSS_SCALE)
        embeddings = model.embed(features)
        vectors = None if text is None else _times_gradient(text.label_vectors(), batch_size)
        if draws is not None:
            vectors = draws.label_vectors(seed, batch["step"][0])
        losses = model.loss(embeddings, batch["label"], uniforms=batch["uniform"], label_vectors=vectors)
        violations = tf.cast(losses > 0, tf.float32)
        total, weight = tf.reduce_sum(losses * batch["weight"]), tf.reduce_sum(batch["weight"])
        objective = total / batch_size
        sums = {"loss": (total, weight), "violations": (tf.reduce_sum(violations * batch["weight"]), weight)}
        if text is not None:
            text_total = skip_gram_loss(text.skip_gram, batch["text"])
            objective += text.weight * text_total
            sums["text_loss"] = (text_total, batch["text"]["pairs"])
        return objective, sums

    return Phase(
        name=name,
        model=model,
        updates=updates,
        loss=loss,
        dataset=dataset,
        steps=steps,
        steps_per_epoch=order.steps_per_epoch,
        metrics=metrics,
        checkpointed={} if text is None else {"skip_gram": text.skip_gram},
    )


class TrainedLabelVectors:
    """Label vectors that keep learning in phase 3, held together by the skip-gram loss (paper, footnote 5).

    The label vectors are unit-norm means of rows of the skip-gram's embedding, so that the ranking loss's gradient
    reaches those rows; the skip-gram loss over the corpus goes on beside it. Both are summed there, over images as
    over pairs: an image counts as much as a pair of words, as if each were applied at once.

    Args:
        skip_gram: The trained model.
        blocks: Its examples.
        rows: int [N, M]. The embedding rows of each label, padded with -1.
        learning_rate: Of the skip-gram's two tables.
        weight: Of the skip-gram loss.
        seed: Of the text's order.
    """

    def __init__(self, skip_gram, blocks, rows, learning_rate, weight=1.0, seed=0):
        self.skip_gram, self.blocks, self.weight = skip_gram, blocks, weight
        self.order = ExampleOrder(blocks.num_chunks, blocks.chunks_per_step, seed)
        self.optimizer = keras.optimizers.SGD(learning_rate)
        self.rows = np.maximum(rows, 0).astype(np.int32)
        self.mask = (rows >= 0).astype(np.float32)[:, :, None]

    def batches(self, start, stop, context):
        return skip_gram_batches(self.blocks, self.order, start, stop, context)

    def label_vectors(self) -> tf.Tensor:
        """float32 [N, D], unit norm, differentiable with respect to the embedding."""
        vectors = _gather(self.skip_gram.embedding.embeddings, self.rows)
        return keras.ops.normalize(keras.ops.sum(vectors * self.mask, axis=1), axis=-1)


class TermDraws:
    """Label vectors of which each is that of one of the label's terms, drawn anew at every step.

    Args:
        term_vectors: For each of N labels its terms' vectors, unit norm, float [D] each.
    """

    def __init__(self, term_vectors: Sequence[Mapping[str, np.ndarray]]):
        self.counts = np.array([len(terms) for terms in term_vectors], np.int32)
        self.first = np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int32)
        self.vectors = np.stack([vector for terms in term_vectors for vector in terms.values()])

    def label_vectors(self, seed: int, step: tf.Tensor) -> tf.Tensor:
        """float32 [N, D], the same for the same seed and step on any device."""
        seeds = tf.stack([tf.constant(seed, tf.int64), step])
        uniforms = tf.random.stateless_uniform([len(self.counts)], seeds)
        drawn = tf.minimum(tf.cast(uniforms * self.counts.astype(np.float32), tf.int32), self.counts - 1)
        return tf.gather(self.vectors, self.first + drawn)


def _times_gradient(values: tf.Tensor, factor: float) -> tf.Tensor:
    """The values, unchanged; their gradient times `factor`."""
    return tf.custom_gradient(lambda x: (tf.identity(x), lambda gradient: gradient * factor))(values)


def _to_zero(learning_rate: float, steps: int):
    return keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, 0.0)
