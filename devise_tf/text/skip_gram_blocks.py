"""Skip-gram training examples, grouped so that they can be computed as small dense products."""

import numpy as np

from devise_tf.huffman import HuffmanTree

CHUNK = 250  # ids an example


def keep_probabilities(counts: np.ndarray, sample: float) -> np.ndarray:
    """word2vec's subsampling: the probability that an occurrence of each term is kept.

    `(sqrt(f / t) + 1) * t / f`, cut to 1, for a term of relative frequency `f` and the threshold `t = sample`
    (`word2vec.c`; the published formula is its first-order form). `sample = 0` keeps everything.

    Args:
        counts: int [V]. Occurrences of each term.
        sample: float, at least 0. The threshold `t`.

    Returns:
        float64 [V] in (0, 1].
    """
    counts = np.asarray(counts, np.float64)
    if sample < 0:
        raise ValueError(f"`sample` must not be negative. Received: sample={sample}")
    if sample == 0:
        return np.ones_like(counts)
    threshold = sample * counts.sum()
    with np.errstate(divide="ignore"):
        return np.minimum(1.0, (np.sqrt(counts / threshold) + 1.0) * threshold / np.maximum(counts, 1e-9))


def draw_keys(seed: int, epoch: int) -> np.ndarray:
    """The keys of one pass over a corpus: uint64 [2], for the subsampling and for the reaches."""
    mixed = _draws(_draws(np.zeros(1, np.uint64), np.array([seed])), np.array([epoch]))
    return _draws(mixed, np.array([1, 2]))


def _draws(key: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Uniform uint64 numbers, a pure function of the key and the position (SplitMix64: Steele et al., 2014)."""
    x = key + np.uint64(0x9E3779B97F4A7C15) * positions.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class SkipGramBlocks:
    """Turns stretches of an encoded corpus into blocks of skip-gram examples.

    The corpus is cut into chunks of `chunk_size` ids, which are this class's examples. The corpus is subsampled, and
    each of the remaining terms of a chunk is a *center*: every *context* term inside its dynamic window (a reach drawn
    uniformly from 1..`window`, cut at sentence ends but not at the ends of the chunk) is trained to predict the center
    through the center's Huffman path, as in word2vec. Which terms remain and how far a window reaches depends only on
    the seed, the pass over the corpus and the position in it, so that neighboring chunks agree.

    At most `block_size` consecutive centers form a block, and share one draw of the reach (each center's reach is
    distributed as in word2vec; those of neighbors are not independent). Their windows overlap and their paths share
    nodes, so that all (context, center, node) products of a block lie in one dense product between the vectors of its
    `n = b + 2 * window` context positions (`b` centers) and the vectors of its `U` distinct nodes:

    ```
    logits[j, u]  = vector(contexts[j]) . node(nodes[u])
    positive[j, u] = sum over i of mask[j, i] * (signs[i, u] == +1)      # code 0
    negative[j, u] = sum over i of mask[j, i] * (signs[i, u] == -1)      # code 1
    loss = sum over j, u of positive * softplus(-logits) + negative * softplus(logits)
    ```

    **Scales.** word2vec applies each pair's update at once; a step on a batch sums many, and the sum explodes for a
    vector that is in many pairs, above all for the root of the tree, which is in every one. So each chunk's gradient
    of a vector is scaled by `min(1, cap / m)`, where `m` is the number of its pairs in the chunk, and the caps of all
    chunks of a step that are expected to hold the vector add up to `summed_updates`. Rare vectors keep word2vec's
    own update. A chunk's scales depend on nothing but the chunk, so that one device and many compute the same.

    Args:
        ids: int32 array [T], usually memory-mapped: term ids, -1 between sentences.
        counts: int [V]. Occurrences of each term in the corpus.
        tree: `HuffmanTree` over the same terms.
        window: int. The largest reach of a window, to either side.
        sample: float. Subsampling threshold; 0 turns subsampling off.
        block_size: int. Most centers a block; those of a chunk are shared out evenly.
        chunk_size: int. Ids a chunk.
        chunks_per_step: int. Chunks in one step, over all devices; only the scales depend on it.
        summed_updates: float. The most updates to one vector that a step sums in full. 64 is stable at word2vec's
            learning rate of 0.025.

    Reference:
        Mikolov et al., 2013, [Distributed Representations of Words and Phrases](https://arxiv.org/abs/1310.4546);
        Ji et al., 2016, [Parallelizing Word2Vec in Shared and Distributed Memory](https://arxiv.org/abs/1604.04661)
        for the shared windows.
    """

    def __init__(
        self,
        ids: np.ndarray,
        counts: np.ndarray,
        tree: HuffmanTree,
        window: int = 5,
        sample: float = 1e-3,
        block_size: int = 32,
        chunk_size: int = CHUNK,
        chunks_per_step: int = 1,
        summed_updates: float = 64.0,
    ):
        if window < 1:
            raise ValueError(f"`window` must be at least 1. Received: window={window}")
        if block_size < 1:
            raise ValueError(f"`block_size` must be at least 1. Received: block_size={block_size}")
        if chunk_size < 1:
            raise ValueError(f"`chunk_size` must be at least 1. Received: chunk_size={chunk_size}")
        if chunks_per_step < 1:
            raise ValueError(f"`chunks_per_step` must be at least 1. Received: chunks_per_step={chunks_per_step}")
        if len(ids) == 0:
            raise ValueError("`ids` holds no terms: the corpus has none of the vocabulary. Received: ids of length 0")
        self.ids, self.tree, self.window, self.block_size = ids, tree, window, block_size
        self.chunk_size, self.chunks_per_step, self.summed_updates = chunk_size, chunks_per_step, summed_updates
        # How far from a chunk the contexts of its first and last centers are searched, dropped ids included.
        self.halo = 16 * window
        self.counts = np.asarray(counts, np.int64)
        self.keep = keep_probabilities(self.counts, sample).astype(np.float32)
        self.num_chunks = -(-len(ids) // chunk_size)
        # The share of chunks that a term and a node are expected in, at most 1, decides how many share its budget.
        expected = np.rint(self.counts * self.keep * 1e6 / self.num_chunks).astype(np.int64)
        self._term_caps, self._node_caps = (
            summed_updates / np.maximum(1.0, chunks_per_step * np.minimum(1.0, occurrences / 1e6))
            for occurrences in (expected, tree.inner_counts(expected))
        )
        # The paths as one flat list, so that a batch gathers only what it has.
        self.path_starts = np.concatenate([[0], np.cumsum(tree.lengths)]).astype(np.int64)
        inside = np.arange(tree.nodes.shape[1])[None, :] < tree.lengths[:, None]
        self.path_nodes = tree.nodes[inside].astype(np.int32)
        self.path_codes = tree.codes[inside].astype(np.int8)

    def batch(self, chunks: np.ndarray, epochs: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
        """The blocks of some chunks.

        Args:
            chunks: int [B]. Chunk numbers.
            epochs: int [B]. The pass over the corpus in which each chunk is met: it shapes the random choices.
            seed: int. Of the random choices.

        Returns:
            For `b` the centers of the largest block: `contexts` int32 [G, n] (0 where there is none; the mask says
            so), `mask` uint8 [G, n, b], `nodes` int32
            [G, U] (padded with 0), `signs` int8 [G, b, U] (+1 for code 0, -1 for code 1, 0 for not on the path),
            `context_scales` float32 [G, n] and `node_scales` float32 [G, U], and `pairs` int64 scalar, the number of
            (context, center) pairs. No block holds centers of two chunks.
        """
        window = self.window
        pieces = []
        before = sentence = 0
        for number, (chunk, epoch) in enumerate(zip(chunks, epochs, strict=True)):
            start, keys = int(chunk) * self.chunk_size, draw_keys(seed, int(epoch))
            first, last = max(0, start - self.halo), start + self.chunk_size + self.halo
            ids = np.asarray(self.ids[first:last])
            positions = np.arange(first, first + len(ids))
            uniforms = (_draws(keys[0], positions) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
            rest = np.flatnonzero((ids >= 0) & (uniforms < self.keep[ids]))
            low, high = np.searchsorted(rest + first, [start, start + self.chunk_size])
            # Blocks of one size, as nearly as can be.
            blocks = max(1, -(-(high - low) // self.block_size))
            size = -(-(high - low) // blocks)
            block_starts = low + size * np.arange(blocks)
            # All centers of a block share one reach, drawn at the position of the first.
            draws = _draws(keys[1], positions[rest[block_starts]] if size else np.zeros(1, int))
            piece = (
                ids[rest],
                sentence + np.cumsum(ids < 0)[rest],
                1 + ((draws >> np.uint64(32)) % np.uint64(window)).astype(np.int64),
                before + block_starts,
                np.minimum(size, high - block_starts),
                np.full(blocks, number),
            )
            pieces.append(piece)
            before, sentence = before + len(rest), sentence + int(np.count_nonzero(ids < 0)) + 1
        terms, sentences, reaches, starts, sizes, block_chunk = map(np.concatenate, zip(*pieces, strict=True))
        terms, sentences = np.append(terms, -1), np.append(sentences, -1)
        b = max(1, int(sizes.max()))
        positions = starts[:, None] + np.arange(-window, b + window)
        positions = np.where((positions >= 0) & (positions < before), positions, before)
        terms, sentences = terms[positions], sentences[positions]  # -1 where there is none
        centers = np.arange(b) < sizes[:, None]
        distance = np.abs(np.arange(b + 2 * window)[:, None] - window - np.arange(b)[None, :])  # [n, b]
        mask = (
            (distance[None] <= reaches[:, None, None])
            & (distance[None] > 0)
            & (sentences[:, :, None] == sentences[:, None, window : window + b])
            & centers[:, None, :]
        ).astype(np.uint8)
        used = mask.any(axis=2)
        used[:, window : window + b] |= centers
        contexts = np.where(used, terms, 0).astype(np.int32)  # no row of the table is touched without need
        nodes, signs = self._paths(np.where(centers, terms[:, window : window + b], -1))
        context_scales = self._scales(block_chunk, contexts, mask.sum(axis=2), self._term_caps)
        # Pairs of each block and node: the pairs of the centers whose paths hold it.
        pairs = np.matmul(mask.sum(axis=1, dtype=np.float32)[:, None, :], np.abs(signs).astype(np.float32))[:, 0]
        return {
            "contexts": contexts,
            "mask": mask,
            "nodes": nodes,
            "signs": signs,
            "context_scales": context_scales,
            "node_scales": self._scales(block_chunk, nodes, pairs, self._node_caps),
            "pairs": np.int64(np.count_nonzero(mask)),
        }

    def _paths(self, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distinct nodes [G, U] of the paths of each block, and each center's signs on them, [G, b, U]."""
        blocks, b = terms.shape
        size = len(self.counts)
        terms = terms.ravel()
        present = np.flatnonzero(terms >= 0)
        lengths = self.tree.lengths[terms[present]].astype(np.int64)
        center = np.repeat(present, lengths)
        starts = np.cumsum(lengths) - lengths
        flat = np.arange(len(center)) + np.repeat(self.path_starts[terms[present]] - starts, lengths)
        block = center // b
        keys, column = np.unique(block * size + self.path_nodes[flat], return_inverse=True)
        key_block = keys // size
        first = np.searchsorted(key_block, np.arange(blocks + 1))
        width = max(1, int(np.diff(first).max()))
        nodes = np.zeros((blocks, width), np.int32)
        nodes[key_block, np.arange(len(keys)) - first[key_block]] = keys - key_block * size
        signs = np.zeros((blocks, b, width), np.int8)
        signs[block, center % b, column - first[block]] = 1 - 2 * self.path_codes[flat]
        return nodes, signs

    def _scales(self, block_chunk: np.ndarray, rows: np.ndarray, pairs: np.ndarray, caps: np.ndarray) -> np.ndarray:
        """Scales of each block's rows, float32 like `rows`: 1 where its pairs in the chunk are below its cap."""
        keys, inverse = np.unique(block_chunk[:, None] * len(self.counts) + rows, return_inverse=True)
        totals = np.bincount(inverse.ravel(), weights=pairs.ravel())
        scales = np.minimum(1.0, caps[keys % len(self.counts)] / np.maximum(totals, 1.0))
        return scales[inverse].reshape(rows.shape).astype(np.float32)
