"""Skip-gram training on the cores of a CPU."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from devise_tf.text.skip_gram_blocks import SkipGramBlocks, draw_keys
from devise_tf.training.engine.matrix_tiles import LANES
from devise_tf.training.engine.skip_gram_kernels import train_chunks

# The arguments of `SkipGramBlocks` that suit this engine: small steps learn a little more from each pair.
BLOCKS = {"block_size": 4, "summed_updates": 32.0}
_SLICE_ROWS = 16_384
_PIECE_IDS = 10_000  # ids that a thread takes at a time


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def row_slices(rows: int) -> list[slice]:
    """Slices of a table, row by row: copying a large one at once would take its memory twice."""
    return [slice(start, start + _SLICE_ROWS) for start in range(0, rows, _SLICE_ROWS)]


class SkipGramEngine:
    """Trains term and node vectors by stochastic gradient descent, without locks, on all cores of a CPU.

    It computes what `SkipGram.block_loss` and plain SGD compute on the blocks of `SkipGramBlocks`, with one
    difference: *each block is a step*, applied before the next one is read, where the Keras path sums a
    step's gradients over all blocks of its chunks. So `summed_updates` bounds the updates that one block sums. With
    one thread and chunks of one block the two take the same steps. Several threads share the tables and write to them
    without locks, so that runs differ a little from each other; one thread repeats exactly.

    Args:
        blocks: `SkipGramBlocks`. Corpus, tree, window, subsampling and blocks.
        vectors: Float32 array or `tf.Variable`, `[V, D]`. Term vectors to start from; copied.
        nodes: The same, `[V - 1, D]`. Node vectors to start from; copied.
        threads: Integer. Number of threads; 0 for one a core that this process may use.
        seed: Integer. Seed of subsampling and windows.

    Attributes:
        pairs: Float. (context, center) pairs trained so far.
        operations: Float. Multiplications and additions of the three matrix products so far.
        bytes: Float. Bytes of table rows that were read and written so far, each row once a block.

    Raises:
        ValueError: The tables do not fit the vocabulary.

    Reference:
        Ji et al., 2016, [Parallelizing Word2Vec in Shared and Distributed Memory](https://arxiv.org/abs/1604.04661);
        Recht et al., 2011, [Hogwild!](https://arxiv.org/abs/1106.5730).
    """

    def __init__(self, blocks: SkipGramBlocks, vectors: np.ndarray, nodes: np.ndarray, threads: int = 0, seed: int = 0):
        size = len(blocks.counts)
        if len(vectors.shape) != 2 or vectors.shape[0] != size or nodes.shape != (size - 1, vectors.shape[1]):
            raise ValueError(
                f"`vectors` and `nodes` must be [V, D] and [V - 1, D] for V = {size}. "
                f"Received: shapes {vectors.shape} and {nodes.shape}"
            )
        if threads < 0:
            raise ValueError(f"`threads` must not be negative. Received: threads={threads}")
        self.blocks, self.seed = blocks, seed
        self.pairs = self.operations = self.bytes = 0.0
        self.threads = threads or available_cores()
        self.dimension = vectors.shape[1]
        self.width = -(-self.dimension // LANES) * LANES
        # Rows whose lengths are multiples of a large power of two would compete for the same lines of the caches.
        stride = self.width + LANES if self.width % 128 == 0 else self.width
        self._vectors, self._nodes = (np.zeros((rows, stride), np.float32) for rows in (size, size - 1))
        for table, source in ((self.vectors(), vectors), (self.nodes(), nodes)):
            for rows in row_slices(size):
                table[rows] = source[rows]
        longest = int(blocks.tree.lengths.max())
        positions = -(-(blocks.block_size + 2 * blocks.window) // 4) * 4
        columns = min(blocks.block_size * longest, size) + 4
        around = blocks.chunk_size + 2 * blocks.halo
        self._space = [
            (
                np.zeros(around, np.int32),
                np.zeros((3, around), np.int64),
                np.zeros((positions, stride), np.float32),
                np.zeros((3, max(positions, columns)), np.int64),
                np.full(size, -1, np.int64),
                np.zeros(size, np.float32),
                np.zeros((3, positions * columns), np.float32),
                np.zeros(6),
            )
            for _ in range(self.threads)
        ]

    def train(
        self, chunks: np.ndarray, epochs: np.ndarray, learning_rates: np.ndarray, measured: int = 16
    ) -> dict[str, float]:
        """Trains on chunks of the corpus.

        Args:
            chunks: Integers, `[C]`. Chunk numbers, in the order in which they are handed to the threads.
            epochs: Integers, `[C]`. The pass in which each is met.
            learning_rates: Floats, `[C]`. The rate of each.
            measured: Integer. The loss is measured on one block in `measured`, chosen by chance.

        Returns:
            `nats` and `measured_pairs`, the summed loss before each block's update and the number of pairs that it is
            of.
        """
        blocks = self.blocks
        starts = np.asarray(chunks, np.int64) * blocks.chunk_size
        rates = np.asarray(learning_rates, np.float32)
        # Compiled code reads and writes wherever it is told to.
        if not starts.shape == rates.shape == np.shape(epochs) or starts.ndim != 1:
            raise ValueError(
                "`chunks`, `epochs` and `learning_rates` must be as long as each other. "
                f"Received: shapes {starts.shape}, {np.shape(epochs)} and {rates.shape}"
            )
        if len(starts) and not 0 <= np.min(chunks) <= np.max(chunks) < blocks.num_chunks:
            raise ValueError(
                f"`chunks` must lie in [0, {blocks.num_chunks}). "
                f"Received: minimum={np.min(chunks)}, maximum={np.max(chunks)}"
            )
        if measured < 1:
            raise ValueError(f"`measured` must be at least 1. Received: measured={measured}")
        passes, positions = np.unique(epochs, return_inverse=True)
        keys = np.stack([draw_keys(self.seed, int(epoch)) for epoch in passes])[positions.ravel()]
        piece = max(1, _PIECE_IDS // blocks.chunk_size)
        pieces = iter(range(0, len(starts), piece))

        def work(space):
            terms, positions, contexts, addresses, column_of, uses, matrices, sums = space
            sums[:5] = 0
            for first in pieces:
                chunk = slice(first, first + piece)
                train_chunks(
                    blocks.ids, starts[chunk], blocks.chunk_size, keys[chunk], rates[chunk], blocks.keep, blocks.window,
                    blocks.halo, blocks.block_size, np.float32(blocks.summed_updates), np.uint64(measured),
                    blocks.path_starts, blocks.path_nodes, blocks.path_codes,
                    self._vectors, self._nodes, self.width,
                    terms, *positions, contexts, addresses, column_of, uses, matrices, sums,
                )  # fmt: skip

        if self.threads == 1:
            work(self._space[0])
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(work, self._space))
        nats, measured_pairs, pairs, products, rows = np.sum([space[-1][:5] for space in self._space], axis=0)
        self.pairs += pairs
        self.operations += 6.0 * products * self.dimension
        self.bytes += 8.0 * rows * self.dimension
        return {"nats": nats, "measured_pairs": measured_pairs}

    def vectors(self) -> np.ndarray:
        """The term vectors, float32 `[V, D]`: a view of the table that is trained."""
        return self._vectors[:, : self.dimension]

    def nodes(self) -> np.ndarray:
        """The node vectors, float32 `[V - 1, D]`: a view of the table that is trained."""
        return self._nodes[:, : self.dimension]
