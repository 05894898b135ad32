"""Phase 1: term vectors from text."""

import importlib
import math
import types
from typing import Any

import keras
import tensorflow as tf

from devise_tf import text
from devise_tf.images import ExampleOrder
from devise_tf.model_dir import SKIP_GRAM, Entry, ModelDir
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text import SkipGramBlocks
from devise_tf.text.convert_vectors import convert_vectors
from devise_tf.text.vector_tokenizer import save_tokenizer
from devise_tf.training.context import RunContext
from devise_tf.training.encoded_text import encoded_text
from devise_tf.training.inputs import Inputs
from devise_tf.training.phase import Phase


def skip_gram_batches(
    blocks: SkipGramBlocks, order: ExampleOrder, start: int, stop: int, context: tf.distribute.InputContext | None
) -> tf.data.Dataset:
    """Batches of skip-gram blocks for one replica: the chunks of `order`, in that order."""
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

    @tf.autograph.experimental.do_not_convert
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


def skip_gram_loss(model: SkipGram, batch: dict[str, tf.Tensor]) -> tf.Tensor:
    """The summed loss of a batch of blocks, nats."""
    return model.block_loss(**{name: value for name, value in batch.items() if name != "pairs"}, gather=gather_rows)


def gather_rows(variable: keras.Variable, ids: Any) -> tf.Tensor:
    """The rows of a table, read alone: `keras.ops.take` makes a copy of the whole table first."""
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
        model: `SkipGram`. The model, made under the strategy's scope, as in all phases.
        blocks: `SkipGramBlocks`. The examples; a step takes `blocks.chunks_per_step` chunks, over all replicas.
        epochs: Float. Passes over the corpus.
        learning_rate: Float. The rate at the start.
        final_learning_rate: Float. The rate at the end.
        seed: Integer. Seed of the order, the subsampling and the windows.
        threads: Integer. Trains with `SkipGramEngine` in this many threads, 0 for one a core; by default with Keras
            operations.

    Returns:
        The `Phase`; its metric `loss` is nats a pair.
    """
    order = ExampleOrder(blocks.num_chunks, blocks.chunks_per_step, seed)
    steps = math.ceil(epochs * order.steps_per_epoch)
    schedule = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, final_learning_rate)

    def loss(batch):
        total = skip_gram_loss(model, batch)
        return total, {"loss": (total, batch["pairs"])}

    optimizer = keras.optimizers.SGD(schedule)
    stepper = None
    if threads is not None:
        from devise_tf.training.engine.engine_steps import EngineSteps

        stepper = EngineSteps(model, blocks, order, optimizer, schedule, threads)
    return Phase(
        name=SKIP_GRAM,
        model=model,
        updates=[(optimizer, model.trainable_variables)],
        loss=loss,
        dataset=lambda start, stop, context: skip_gram_batches(blocks, order, start, stop, context),
        steps=steps,
        steps_per_epoch=order.steps_per_epoch,
        stepper=stepper,
    )


def make_term_vectors(run: RunContext, inputs: Inputs) -> None:
    """Makes the run's term vectors: trains them, or takes over those of a file."""
    run.by_chief(lambda: save_tokenizer(run.model_dir.path(Entry.VECTORS), inputs.tokenizer))
    if run.config.vectors:
        run.by_chief(lambda: _take_over(inputs, run.model_dir, run.config.max_bad_rows))
    elif not run.model_dir.has(Entry.VECTORS):
        _train(run, inputs)


def _take_over(inputs: Inputs, model_dir: ModelDir, max_bad_rows: int) -> None:
    path = model_dir.path(Entry.VECTORS)
    if not model_dir.has(Entry.VECTORS):
        convert_vectors(inputs.vectors, path, "word2vec_binary", max_bad_rows=max_bad_rows)
        save_tokenizer(path, inputs.tokenizer)  # that of the vectors may be another one


def _train(run: RunContext, inputs: Inputs) -> None:
    config = run.config
    run.say("\nPhase 1: skip-gram")
    engine = _load_engine(run)
    vocabulary, blocks = encoded_text(run, inputs, **engine.BLOCKS if engine else {})
    with run.strategy.scope():
        keras.utils.set_random_seed(config.seed)
        model = SkipGram(vocabulary.counts, config.dimension)
        phase = skip_gram_phase(
            model,
            blocks,
            config.skip_gram_epochs,
            config.skip_gram_learning_rate,
            seed=config.seed,
            threads=config.skip_gram_threads if engine else None,
        )
    run.train(phase)
    path = run.model_dir.path(Entry.VECTORS)
    run.by_chief(lambda: text.save_vectors(path, vocabulary.terms, model.vectors(), "word2vec_binary"))


def _load_engine(run: RunContext) -> types.ModuleType | None:
    """The module of `SkipGramEngine`, for training on one CPU where Numba can be used; else None."""
    if run.strategy.num_replicas_in_sync > 1 or tf.config.list_logical_devices("GPU"):
        return None
    try:
        return importlib.import_module("devise_tf.training.engine.skip_gram_engine")
    except (ImportError, OSError) as error:  # OSError: a library of LLVM cannot be loaded
        run.say(f"Training with Keras operations, which is slower: Numba cannot be used here ({error}).")
        return None
