"""The engine as what takes the steps of the skip-gram phase in the training loop."""

import math

import keras
import numpy as np
import tensorflow as tf

from devise_tf.images import ExampleOrder
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text import SkipGramBlocks
from devise_tf.training.engine.skip_gram_engine import SkipGramEngine, row_slices


class EngineSteps:
    """Steps of the skip-gram phase, taken by `SkipGramEngine`; a `Stepper` of the training loop.

    Args:
        model: `SkipGram`. The phase's model, whose tables the engine copies and gives back.
        blocks: `SkipGramBlocks`. The examples.
        order: `ExampleOrder`. The order of their chunks.
        optimizer: `keras.optimizers.SGD`. The phase's optimizer, whose steps are counted.
        schedule: `keras.optimizers.schedules.LearningRateSchedule`. The learning rates.
        threads: Integer. Threads; 0 for one a core.
    """

    # A second or so of words, so that threads seldom wait for each other.
    words_at_once = 1_000_000

    def __init__(
        self,
        model: SkipGram,
        blocks: SkipGramBlocks,
        order: ExampleOrder,
        optimizer: keras.optimizers.SGD,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        threads: int,
    ):
        self.model, self.blocks, self.order, self.threads = model, blocks, order, threads
        self.optimizer, self.schedule = optimizer, schedule
        self.least_steps = math.ceil(self.words_at_once / (order.global_batch_size * blocks.chunk_size))

    def load(self) -> None:
        self.engine = SkipGramEngine(self.blocks, *self._tables(), threads=self.threads, seed=self.order.seed)

    def _tables(self) -> tuple[tf.Variable, tf.Variable]:
        return self.model.embedding.embeddings.value, self.model.hierarchical_softmax.nodes.value

    def take(self, start: int, stop: int) -> dict[str, float]:
        size = self.order.global_batch_size
        examples = self.order.examples(tf.range(start * size, stop * size, dtype=tf.int64))
        rates = np.repeat(self.schedule(tf.range(start, stop)).numpy(), size)
        # Measuring the loss of all blocks would take a good part of the time.
        measured = min(16, 1 + len(rates) * self.blocks.chunk_size // 100_000)
        sums = self.engine.train(examples["index"].numpy(), examples["epoch"].numpy(), rates, measured)
        return {"loss": sums["nats"] / max(1.0, sums["measured_pairs"])}

    def store(self, step: int) -> None:
        for table, trained in zip(self._tables(), (self.engine.vectors(), self.engine.nodes()), strict=True):
            for rows in row_slices(len(trained)):
                table[rows].assign(trained[rows])
        self.optimizer.iterations.assign(step)
