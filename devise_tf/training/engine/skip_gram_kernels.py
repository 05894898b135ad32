"""The inner loops of `SkipGramEngine`, compiled by Numba for the CPU that they run on.

Compiled code is cached beside this file, or in Numba's cache folder where that cannot be written. Nothing is compiled
before the first call. Products of small matrices take nearly all the time; their tiles are in `matrix_tiles`.
"""

import math

import numpy as np
from numba import njit

from devise_tf.training.engine.matrix_tiles import (
    BYTES,
    COLUMNS,
    ROWS,
    VECTORS,
    axpy_1,
    axpy_2,
    axpy_3,
    axpy_4,
    dot_tile,
)

_FAST = {"nnan", "ninf", "nsz", "arcp", "contract", "reassoc"}


def _compiled(**options):
    """`njit` that caches what it compiles, where a folder can be written; NaN and infinity are results, not errors."""

    def decorate(function):
        try:
            return njit(cache=True, error_model="numpy", **options)(function)
        except RuntimeError:  # neither this folder nor the user's can be written
            return njit(error_model="numpy", **options)(function)

    return decorate


@_compiled(inline="never")
def _dot_products(rows, num_rows, columns, column_stride, num_columns, row_bytes, out):
    """out[r, c] = row r . column c; `num_rows` and `num_columns` are multiples of a tile's."""
    for r in range(0, num_rows, ROWS):
        for c in range(0, num_columns, COLUMNS):
            position = out + 4 * (r * num_columns + c)
            dot_tile(rows + 8 * r, columns + c * column_stride, column_stride, row_bytes, position, 4 * num_columns)


@_compiled(inline="never")
def _add_products(rows, num_rows, weights, row_stride, source_stride, sources, num_sources, row_bytes):
    """row r += sum over s of weights[r, s] * source s; `num_rows` is a multiple of 4."""
    offset = 0
    while offset < row_bytes:
        # Panels of a few registers, so that all parts of the sources stay in the first cache.
        vectors = min((row_bytes - offset) // BYTES, VECTORS)
        for r in range(0, num_rows, ROWS):
            position, weight = rows + 8 * r, weights + r * row_stride
            if vectors == 4:
                axpy_4(position, weight, row_stride, source_stride, sources, num_sources, offset)
            elif vectors == 3:
                axpy_3(position, weight, row_stride, source_stride, sources, num_sources, offset)
            elif vectors == 2:
                axpy_2(position, weight, row_stride, source_stride, sources, num_sources, offset)
            else:
                axpy_1(position, weight, row_stride, source_stride, sources, num_sources, offset)
        offset += vectors * BYTES


# SplitMix64, as in `text.skip_gram_blocks`, in uint64 throughout: Numba would make floats of mixed signs.
_GOLDEN, _FACTOR_1, _FACTOR_2 = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S27, _S30, _S31, _S32, _S40 = (np.uint64(c) for c in (27, 30, 31, 32, 40))


@_compiled()
def _draw(key, position):
    x = key + _GOLDEN * np.uint64(position)
    x = (x ^ (x >> _S30)) * _FACTOR_1
    x = (x ^ (x >> _S27)) * _FACTOR_2
    return x ^ (x >> _S31)


@_compiled()
def _subsample(ids, keep, key, start, stop, chunk_start, chunk_stop, terms, positions, sentence_starts, sentence_stops):
    """Subsamples ids[start:stop]; returns how many are left, and the range of those that lie in the chunk."""
    count = first = sentence = 0
    last = -1
    for position in range(start, stop):
        if position == chunk_start:
            first = count
        if position == chunk_stop:
            last = count
        term = ids[position]
        if term < 0:
            for i in range(sentence, count):
                sentence_stops[i] = count
            sentence = count
        elif np.float32(_draw(key, position) >> _S40) * np.float32(2.0**-24) < keep[term]:
            terms[count] = term
            positions[count] = position
            sentence_starts[count] = sentence
            count += 1
    for i in range(sentence, count):
        sentence_stops[i] = count
    return count, first, count if last < 0 else last


@_compiled()
def _nats(logits, total, positive, size):
    loss = 0.0
    for i in range(size):
        if total[i] > 0:
            x = np.float64(logits[i])
            loss += total[i] * (max(x, 0.0) + math.log1p(math.exp(-abs(x)))) - positive[i] * x
    return loss


@_compiled(fastmath=_FAST)
def _weights(logits, total, positive, size, learning_rate):
    """Overwrites the logits by learning_rate * (positive - total * sigmoid(logits)).

    Lambert's continued fraction gives tanh(x / 4), one doubling tanh(x / 2), and that the sigmoid, to 3e-7: a few
    multiplications, which vectorise.
    """
    one, half = np.float32(1), np.float32(0.5)
    for i in range(size):
        z = min(max(logits[i], np.float32(-20)), np.float32(20)) * np.float32(0.25)
        q = z * z
        t = z * (np.float32(10395) + q * (np.float32(1260) + q * np.float32(21)))
        t /= np.float32(10395) + q * (np.float32(4725) + q * (np.float32(210) + q))
        t = (t + t) / (one + t * t)
        logits[i] = learning_rate * (positive[i] - total[i] * (half + half * t))


@_compiled(nogil=True)
def train_chunks(
    ids, chunk_starts, chunk_size, keys, learning_rates, keep, window, halo, block_size, summed_updates, loss_share,
    path_starts, path_nodes, path_codes, vectors, nodes, width,
    terms, positions, sentence_starts, sentence_stops, contexts, addresses, column_of, uses, matrices, sums,
):  # fmt: skip
    """Trains on some chunks, one after the other; see `SkipGramEngine`, whose names these are.

    Args:
        ids: int32 [T].
        chunk_starts: int64 [C].
        keys: uint64 [C, 2]. Of the subsampling and of the reaches.
        learning_rates: float32 [C].
        loss_share: uint64. The loss of one block in `loss_share` is measured.
        vectors, nodes: float32 [V, S] and [V - 1, S], S >= `width`, updated in place.
        width: int. Floats that are used of each row, a multiple of `LANES`.
        terms … matrices: Work space; `column_of` int64 [V] is below the first block's stamp, `uses` float32 [V] is 0.
        sums: float64 [6], added to: nats, pairs whose nats are measured, pairs, (context, node) products, rows of both
            tables, blocks.
    """
    row_bytes = 4 * width
    total, positive, logits = matrices[0], matrices[1], matrices[2]
    context_rows, vector_rows, node_rows = addresses[0], addresses[1], addresses[2]
    context_base, context_stride = contexts.ctypes.data, contexts.strides[0]
    vector_base, node_base, stride = vectors.ctypes.data, nodes.ctypes.data, vectors.strides[0]
    for j in range(len(contexts)):
        context_rows[j] = context_base + j * context_stride
    one = np.float32(1)
    for chunk in range(len(chunk_starts)):
        start = chunk_starts[chunk]
        stop = min(start + chunk_size, len(ids))
        count, first_center, end = _subsample(
            ids, keep, keys[chunk, 0], max(0, start - halo), min(len(ids), stop + halo), start, stop,
            terms, positions, sentence_starts, sentence_stops,
        )  # fmt: skip
        # Blocks of one size, as nearly as can be.
        num_blocks = max(1, (end - first_center + block_size - 1) // block_size)
        size_of_blocks = max(1, (end - first_center + num_blocks - 1) // num_blocks)
        for first in range(first_center, end, size_of_blocks):
            last = min(first + size_of_blocks, end) - 1
            draw = _draw(keys[chunk, 1], positions[first])
            reach = 1 + np.int64((draw >> _S32) % np.uint64(window))
            low = max(first - reach, sentence_starts[first])
            high = min(last + 1 + reach, sentence_stops[last])
            num_contexts = high - low
            n = (num_contexts + ROWS - 1) // ROWS * ROWS
            # The distinct nodes of the block's paths, numbered as they come.
            sums[5] += 1
            stamp = np.int64(sums[5]) << 20
            num_nodes = 0
            for center in range(first, last + 1):
                for step in range(path_starts[terms[center]], path_starts[terms[center] + 1]):
                    node = path_nodes[step]
                    if column_of[node] < stamp:
                        column_of[node] = stamp + num_nodes
                        node_rows[num_nodes] = node_base + node * stride
                        num_nodes += 1
            rows = (num_nodes + ROWS - 1) // ROWS * ROWS
            for u in range(num_nodes, rows):  # tiles are whole: their weights here are 0
                node_rows[u] = node_rows[0]
            # How often each node is in the path of a center that a context reaches, and how often with code 0.
            size = rows * n
            for i in range(size):
                total[i] = 0
                positive[i] = 0
            pairs = 0
            for center in range(first, last + 1):
                begin = max(center - reach, sentence_starts[center]) - low
                finish = min(center + reach + 1, sentence_stops[center]) - low
                pairs += finish - begin - 1
                for step in range(path_starts[terms[center]], path_starts[terms[center] + 1]):
                    row = (column_of[path_nodes[step]] - stamp) * n
                    for i in range(row + begin, row + finish):
                        total[i] += one
                    total[row + center - low] -= one
                    if path_codes[step] == 0:
                        for i in range(row + begin, row + finish):
                            positive[i] += one
                        positive[row + center - low] -= one
            if pairs == 0:
                continue
            for j in range(num_contexts):
                term = terms[low + j]
                vector_rows[j] = vector_base + term * stride
                source, target = vectors[term], contexts[j]
                for d in range(width):
                    target[d] = source[d]
            for j in range(num_contexts, n):
                vector_rows[j] = vector_rows[0]
            _dot_products(node_rows.ctypes.data, rows, context_base, context_stride, n, row_bytes, logits.ctypes.data)
            if (draw & np.uint64(0xFFFFFFFF)) % loss_share == 0:
                sums[0] += _nats(logits, total, positive, size)
                sums[1] += pairs
            sums[2] += pairs
            sums[3] += num_nodes * num_contexts
            sums[4] += num_nodes + num_contexts
            _weights(logits, total, positive, size, learning_rates[chunk])
            # Gradients of vectors that are in many pairs are scaled: those of the contexts' terms in a copy,
            context_weights = logits
            scaled = False
            for j in range(num_contexts):
                position, reached = low + j, 0
                for center in range(max(first, position - reach), min(last, position + reach) + 1):
                    reached += center != position and sentence_starts[center] == sentence_starts[position]
                uses[terms[position]] += reached
                scaled |= uses[terms[position]] > summed_updates
            if scaled:
                context_weights = positive
                for j in range(num_contexts):
                    scale = min(one, summed_updates / max(one, uses[terms[low + j]]))
                    for i in range(j, num_nodes * n, n):
                        positive[i] = scale * logits[i]
                for i in range(num_nodes * n, size):
                    positive[i] = 0
            for j in range(num_contexts):
                uses[terms[low + j]] = 0
            _add_products(
                vector_rows.ctypes.data, n, context_weights.ctypes.data, 4, 4 * n, node_rows.ctypes.data, num_nodes,
                row_bytes,
            )  # fmt: skip
            # and those of the nodes in place, behind the contexts' update.
            for u in range(num_nodes):
                updates = np.float32(0)
                for i in range(u * n, u * n + n):
                    updates += total[i]
                if updates > summed_updates:
                    for i in range(u * n, u * n + n):
                        logits[i] *= summed_updates / updates
            _add_products(
                node_rows.ctypes.data, rows, logits.ctypes.data, 4 * n, 4, context_rows.ctypes.data, num_contexts,
                row_bytes,
            )  # fmt: skip
