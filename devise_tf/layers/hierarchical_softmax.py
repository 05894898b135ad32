"""Hierarchical softmax over a Huffman tree."""

import keras
import numpy as np
from keras import ops

from devise_tf.huffman import HuffmanTree, check_counts
from devise_tf.losses.hierarchical_softmax import hierarchical_softmax_loss


@keras.saving.register_keras_serializable(package="devise_tf")
class HierarchicalSoftmax(keras.layers.Layer):
    """Negative log-likelihood of terms under a hierarchical softmax.

    `P(term | input) = product over the nodes n on the term's path of sigmoid((1 - 2 code_n) * input . n)`

    Each inner node of a Huffman tree over the vocabulary has a vector, zero at first as in word2vec. A term costs as
    many dot products as its path is long, about `log2(V)`, in place of `V`; frequent terms have short paths.

    The layer computes in its variable dtype, which is float32 under mixed precision, and does not cast its inputs
    below it.

    Args:
        counts: integers `[V]`, how often each term occurs; the Huffman tree is built from them.
        tree: a `devise_tf.huffman.HuffmanTree` (or its config), in place of `counts`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: float tensor `[B, D]`.
        targets: integer tensor `[B]`, term ids below `V`.

    Input shape:
        `[B, D]` and `[B]`.

    Output shape:
        `[B]`, in nats.

    Raises:
        ValueError: unless exactly one of `counts` and `tree` is given, or if it is no valid set of counts or tree, or
            if the targets are not integers.

    Example:

    >>> layer = HierarchicalSoftmax(counts=[5, 2, 1])
    >>> layer(np.ones((2, 4), "float32"), np.array([0, 2]))
    [0.6931472 1.3862944]

    Reference:
        - Mikolov et al., Efficient Estimation of Word Representations in Vector Space, 2013.
        - Morin and Bengio, Hierarchical Probabilistic Neural Network Language Model, 2005.
    """

    def __init__(self, counts=None, tree=None, **kwargs):
        if (counts is None) == (tree is None):
            raise ValueError(
                f"Exactly one of `counts` and `tree` must be given. Received: counts={counts}, tree={tree}"
            )
        tree = HuffmanTree.from_config(tree) if isinstance(tree, dict) else tree
        if tree is not None and not isinstance(tree, HuffmanTree):
            raise ValueError(f"`tree` must be a `HuffmanTree`. Received: tree={tree} of type {type(tree)}")
        super().__init__(autocast=False, **kwargs)
        if counts is not None:
            self.counts = check_counts(counts)
            self.tree = HuffmanTree.from_counts(self.counts)
        else:
            self.counts = None
            self.tree = tree
        # One integer a step of a path, 2 * node + code, and -1 for padding: one table to gather from.
        on_path = np.arange(self.tree.nodes.shape[1]) < self.tree.lengths[:, None]
        self._paths = np.where(on_path, 2 * self.tree.nodes + self.tree.codes, -1).astype(np.int32)
        self._levels = None
        self.nodes = None

    def build(self, inputs_shape, targets_shape=None):
        if inputs_shape[-1] is None:
            raise ValueError(f"The last dimension of `inputs` must be known. Received: inputs.shape={inputs_shape}")
        # Without autocast the few rows of a batch are read, not the whole table cast.
        self.nodes = self.add_weight(
            name="nodes", shape=(len(self.tree) - 1, inputs_shape[-1]), initializer="zeros", autocast=False
        )

    def call(self, inputs, targets):
        dtype = keras.backend.standardize_dtype(targets.dtype)
        if "int" not in dtype:
            raise ValueError(f"`targets` must be integers. Received: targets.dtype={dtype}")
        paths = ops.take(ops.convert_to_tensor(self._paths), targets, axis=0)
        mask = paths >= 0
        paths = ops.maximum(paths, 0)
        nodes = paths // 2
        node_vectors = ops.take(self.nodes, nodes, axis=0)
        return hierarchical_softmax_loss(
            ops.cast(inputs, self.variable_dtype), node_vectors, codes=paths - 2 * nodes, mask=mask
        )

    def log_probabilities(self, inputs):
        """Computes the log-probability of every term; their exponentials sum to one.

        One product with all `V - 1` nodes, then one addition a level of the tree: `O(V)` for each example.

        Args:
            inputs: float tensor `[B, D]`.

        Returns:
            Tensor `[B, V]` of the variable dtype, in nats.
        """
        inputs = ops.cast(inputs, self.variable_dtype)
        if not self.built:
            self.build(inputs.shape)
            self.built = True
        if self._levels is None:
            self._levels = _tree_levels(self.tree)
        order, sizes, inner_places, term_places = self._levels
        logits = ops.matmul(inputs, ops.transpose(ops.take(self.nodes, order, axis=0)))
        level_children = []
        reached = ops.zeros_like(logits[:, :1])
        start = 0
        for size, places in zip(sizes, inner_places, strict=True):
            level = logits[:, start : start + size]
            start += size
            children = ops.concatenate([reached - ops.softplus(-level), reached - ops.softplus(level)], axis=1)
            level_children.append(children)
            reached = ops.take(children, places, axis=1)
        return ops.take(ops.concatenate(level_children, axis=1), term_places, axis=1)

    def compute_output_shape(self, inputs_shape, targets_shape=None):
        return (inputs_shape[0],)

    def compute_output_spec(self, inputs, targets):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.variable_dtype)

    def get_config(self):
        config = super().get_config()
        if self.counts is not None:
            config["counts"] = self.counts.tolist()
        else:
            config["tree"] = self.tree.to_config()
        return config


def _tree_levels(tree):
    """Returns the inner nodes level by level, and where each level's and each term's entry is found.

    A level with `n` nodes has `2n` children, branch 0 of every node first. Returns the order of the inner nodes, the
    size of each level, for each level the places of its inner children among those `2n`, and for each term its place
    in all levels' children strung together.
    """
    size = len(tree)
    children = tree.children()
    order, sizes, inner_places = [], [], []
    term_places = np.zeros(size, np.int32)
    level, offset = np.array([size - 2]), 0
    while len(level):
        below = children[level].T.ravel()
        is_inner = below >= size
        term_places[below[~is_inner]] = offset + np.flatnonzero(~is_inner)
        order.append(level)
        sizes.append(len(level))
        inner_places.append(np.flatnonzero(is_inner).astype(np.int32))
        level, offset = below[is_inner] - size, offset + len(below)
    return np.concatenate(order).astype(np.int32), sizes, inner_places, term_places
