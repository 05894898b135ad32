"""Hierarchical softmax over a Huffman tree."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from devise_tf.huffman import HuffmanTree, check_counts
from devise_tf.label_ids import label_ids
from devise_tf.losses.hierarchical_softmax import hierarchical_softmax_loss

# See `_tree_levels`.
_Levels = tuple[np.ndarray, list[int], list[np.ndarray], np.ndarray]


@keras.saving.register_keras_serializable(package="devise_tf")
class HierarchicalSoftmax(keras.layers.Layer):
    """Negative log-likelihood of terms under a hierarchical softmax.

    `P(term | input) = product over the nodes n on the term's path of sigmoid((1 - 2 code_n) * input . n)`

    Each inner node of a Huffman tree over the vocabulary has a vector, which starts at zero as in word2vec. A term
    costs one dot product for each node on its path, about `log2(V)` instead of `V`; frequent terms have short paths.

    The layer computes in its variable dtype, which is float32 under mixed precision; inputs are not cast to less.

    Args:
        counts: Integers, `[V]`. How often each term occurs; the Huffman tree is built from them.
        tree: `devise_tf.huffman.HuffmanTree`, or its config. Instead of `counts`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: Float tensor, `[B, D]` or `[B, T, D]`.
        targets: Integer tensor of any dtype, `[B]` or `[B, 1]`; for `[B, T, D]`, `[B, T]` or `[B, T, 1]`. Term ids. One
            outside of 0 to `V - 1` is an error, or, within a compiled function, where values are not known, makes that
            output NaN.

    Input shape:
        `[B, D]` and `[B]`, or as above.

    Output shape:
        That of the inputs without `D`, `[B]` or `[B, T]`. In nats.

    Raises:
        ValueError: Not exactly one of `counts` and `tree` is given, it is not valid, or the targets are not as above.

    Example:

    >>> layer = HierarchicalSoftmax(counts=[5, 2, 1])
    >>> layer(np.ones((2, 4), "float32"), np.array([0, 2]))
    [0.6931472 1.3862944]

    Reference:
        - Mikolov et al., Efficient Estimation of Word Representations in Vector Space, 2013.
        - Morin and Bengio, Hierarchical Probabilistic Neural Network Language Model, 2005.
    """

    built: bool  # set by Keras

    def __init__(
        self,
        counts: Sequence[int] | np.ndarray | None = None,
        tree: HuffmanTree | dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        if (counts is None) == (tree is None):
            raise ValueError(
                f"Exactly one of `counts` and `tree` must be given. Received: counts={counts}, tree={tree}"
            )
        if counts is not None:
            tree = HuffmanTree.from_counts(counts)
        elif isinstance(tree, dict):
            tree = HuffmanTree.from_config(tree)
        if not isinstance(tree, HuffmanTree):
            raise ValueError(f"`tree` must be a `HuffmanTree`. Received: tree={tree} of type {type(tree)}")
        super().__init__(autocast=False, **kwargs)
        self.counts, self.tree = None if counts is None else check_counts(counts), tree
        # One integer for each step of a path, 2 * node + code, and -1 for padding: one table to gather from.
        on_path = np.arange(self.tree.nodes.shape[1]) < self.tree.lengths[:, None]
        self._paths = np.where(on_path, 2 * self.tree.nodes + self.tree.codes, -1).astype(np.int32)
        self._levels: _Levels | None = None
        self.nodes: keras.Variable = None

    def build(self, inputs_shape: Any, targets_shape: Any = None) -> None:
        if inputs_shape[-1] is None:
            raise ValueError(f"The last dimension of `inputs` must be known. Received: inputs.shape={inputs_shape}")
        # Without autocast the few rows of a batch are read, not the whole table cast.
        self.nodes = self.add_weight(
            name="nodes", shape=(len(self.tree) - 1, inputs_shape[-1]), initializer="zeros", autocast=False
        )

    def call(self, inputs: Any, targets: Any) -> Any:
        inputs = ops.cast(inputs, self.variable_dtype)
        targets, is_term = label_ids(targets, inputs.shape[:-1], len(self.tree), "targets")
        paths = ops.take(ops.convert_to_tensor(self._paths), ops.reshape(targets, (-1,)), axis=0)
        mask = paths >= 0
        paths = ops.maximum(paths, 0)
        nodes = paths // 2
        node_vectors = ops.take(self.nodes, nodes, axis=0)
        inputs = ops.reshape(inputs, (-1, inputs.shape[-1]))
        losses = hierarchical_softmax_loss(inputs, node_vectors, codes=paths - 2 * nodes, mask=mask)
        return ops.where(is_term, ops.reshape(losses, ops.shape(is_term)), np.nan)

    def log_probabilities(self, inputs: Any) -> Any:
        """Computes the log-probability of every term; their exponentials sum to one.

        One product with all `V - 1` nodes, then one addition for each level of the tree: `O(V)` for each example.

        Args:
            inputs: Float tensor, `[B, D]` or `[B, T, D]`.

        Returns:
            Tensor, `[B, V]` or `[B, T, V]`, of the variable dtype. In nats.
        """
        inputs = ops.cast(inputs, self.variable_dtype)
        if not self.built:
            self.build(inputs.shape)
            self.built = True
        if self._levels is None:
            self._levels = _tree_levels(self.tree)
        order, sizes, inner_positions, term_positions = self._levels
        logits = ops.matmul(inputs, ops.transpose(ops.take(self.nodes, order, axis=0)))
        level_children = []
        node_values = ops.zeros_like(logits[..., :1])  # log-probabilities of reaching the level's nodes
        start = 0
        for size, positions in zip(sizes, inner_positions, strict=True):
            level = logits[..., start : start + size]
            start += size
            branches = [node_values - ops.softplus(-level), node_values - ops.softplus(level)]
            level_children.append(ops.concatenate(branches, axis=-1))
            node_values = ops.take(level_children[-1], positions, axis=-1)
        return ops.take(ops.concatenate(level_children, axis=-1), term_positions, axis=-1)

    def compute_output_shape(self, inputs_shape: Any, targets_shape: Any = None) -> tuple[int | None, ...]:
        return tuple(inputs_shape[:-1])

    def compute_output_spec(self, inputs: Any, targets: Any) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.variable_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.counts is not None:
            config["counts"] = self.counts.tolist()
        else:
            config["tree"] = self.tree.to_config()
        return config


def _tree_levels(tree: HuffmanTree) -> _Levels:
    """The inner nodes level by level, and the positions of nodes and terms among the children of the levels.

    A level with `n` nodes has `2n` children, branch 0 of every node first. Returns the order of the inner nodes, the
    size of each level, for each level the positions of its inner children among those `2n`, and for each term its
    position in the children of all levels, concatenated.
    """
    size = len(tree)
    children = tree.children()
    order, sizes, inner_positions = [], [], []
    term_positions = np.zeros(size, np.int32)
    level, offset = np.array([size - 2]), 0
    while len(level):
        level_children = children[level].T.ravel()
        is_inner = level_children >= size
        term_positions[level_children[~is_inner]] = offset + np.flatnonzero(~is_inner)
        order.append(level)
        sizes.append(len(level))
        inner_positions.append(np.flatnonzero(is_inner).astype(np.int32))
        level, offset = level_children[is_inner] - size, offset + len(level_children)
    return np.concatenate(order).astype(np.int32), sizes, inner_positions, term_positions
