"""The skip-gram language model with hierarchical softmax."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from devise_tf.layers import HierarchicalSoftmax


@keras.saving.register_keras_serializable(package="devise_tf")
class SkipGram(keras.Model):
    """Skip-gram with hierarchical softmax (phase 1 of DeViSE).

    Each term has one vector, a row of `embedding`; each inner node of the Huffman tree over the vocabulary has one
    too, in `hierarchical_softmax`. A context term's vector predicts the center term:

    ```
    loss(context, center) = -sum over the center's path of log sigmoid(sign(code) * node . vector(context))
    ```

    Args:
        counts: Integers, `[V]`. How often each term occurs; the Huffman tree is built from them.
        dimension: Integer, `>= 1`. Length of a term's vector.
        **kwargs: `name`, `dtype` of `keras.Model`.

    Call arguments:
        contexts: Integer tensor, `[B]`. Context terms.
        centers: Integer tensor, `[B]`. The terms to predict; if None, the vectors of the contexts are returned.

    Output shape:
        Float32, `[B]`, the loss of each pair in nats; or `[B, dimension]` without `centers`.

    Raises:
        ValueError: `dimension` is below 1, or `counts` are not valid.

    Example:

    >>> model = SkipGram(counts=[5, 3, 1], dimension=8)
    >>> model(np.array([0, 1]), np.array([2, 0])).shape
    TensorShape([2])

    Reference:
        - Mikolov et al., 2013, [Distributed Representations of Words and Phrases](https://arxiv.org/abs/1310.4546).
    """

    def __init__(self, counts: Sequence[int] | np.ndarray, dimension: int, name: str = "skip_gram", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if dimension < 1:
            raise ValueError(f"`dimension` must be at least 1. Received: dimension={dimension}")
        self.counts = [int(count) for count in counts]
        self.dimension = dimension
        self.embedding = keras.layers.Embedding(
            len(self.counts),
            dimension,
            embeddings_initializer=keras.initializers.RandomUniform(-0.5 / dimension, 0.5 / dimension),
            name="embedding",
            dtype=self.dtype_policy,
        )
        self.hierarchical_softmax = HierarchicalSoftmax(
            counts=self.counts, name="hierarchical_softmax", dtype=self.dtype_policy
        )
        # The optimizer is made before the first call, so the variables must be there.
        self.embedding.build((None,))
        self.hierarchical_softmax.build((None, dimension), (None,))
        self.built = True

    def call(self, contexts: Any, centers: Any = None) -> Any:
        vectors = self.embedding(contexts)
        return vectors if centers is None else self.hierarchical_softmax(vectors, centers)

    def block_loss(
        self,
        contexts: Any,
        mask: Any,
        nodes: Any,
        signs: Any,
        context_scales: Any = None,
        node_scales: Any = None,
        gather: Callable[[Any, Any], Any] | None = None,
    ) -> Any:
        """The summed loss of blocks of pairs: the same sum as of `call` over each pair, in a few dense products.

        Args:
            contexts: Integer tensor, `[G, n]`. Context terms of each block; see `devise_tf.text.SkipGramBlocks`.
            mask: Uint8 tensor, `[G, n, b]`. 1 where position j is a context of center i.
            nodes: Integer tensor, `[G, U]`. The distinct nodes of the block's paths.
            signs: Int8 tensor, `[G, b, U]`. +1 and -1 for codes 0 and 1, 0 for nodes that are not on the path.
            context_scales: Float32 tensor, `[G, n]`. Scales the gradient of each context's vector, not the loss.
            node_scales: Float32 tensor, `[G, U]`. Scales the gradient of each node's vector, not the loss.
            gather: Function, `gather(variable, ids)`. Replaces `keras.ops.take` on backends that have a faster way to
                read rows of a large table.

        Returns:
            Float32 scalar. Nats, summed over all pairs.
        """
        gather = gather or (lambda variable, ids: ops.take(variable, ids, axis=0))
        context_vectors = gather(self.embedding.embeddings, contexts)
        node_vectors = gather(self.hierarchical_softmax.nodes, nodes)
        mask, signs = (ops.cast(x, context_vectors.dtype) for x in (mask, signs))
        signed = ops.matmul(mask, signs)  # positive - negative
        total = ops.matmul(mask, ops.abs(signs))  # positive + negative
        return _scaled_loss(context_vectors, node_vectors, total, signed, context_scales, node_scales)

    def vectors(self) -> np.ndarray:
        """All term vectors, float32 `[V, dimension]`."""
        return ops.convert_to_numpy(self.embedding.embeddings).astype(np.float32, copy=False)

    def node_vectors(self) -> np.ndarray:
        """All node vectors, float32 `[V - 1, dimension]`."""
        return ops.convert_to_numpy(self.hierarchical_softmax.nodes).astype(np.float32, copy=False)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "counts": self.counts, "dimension": self.dimension}


def _scaled_loss(
    context_vectors: Any, node_vectors: Any, total: Any, signed: Any, context_scales: Any, node_scales: Any
) -> Any:
    """The summed loss, with gradients that are scaled row by row."""

    # By hand: scaling the small matrix of slopes costs next to nothing, scaling the rows of vectors takes three passes.
    @ops.custom_gradient
    def loss(context_vectors: Any, node_vectors: Any) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
        logits = ops.matmul(context_vectors, ops.transpose(node_vectors, (0, 2, 1)))
        halves = ops.tanh(0.5 * logits)  # sigmoid(x) = 0.5 + 0.5 * tanh(x / 2)

        def gradients(*arguments: Any, upstream: Any = None) -> tuple[Any, Any]:
            upstream = arguments[0] if upstream is None else upstream
            slopes = (0.5 * upstream) * (total * halves - signed)
            left = slopes if context_scales is None else slopes * ops.expand_dims(context_scales, 2)
            right = slopes if node_scales is None else slopes * ops.expand_dims(node_scales, 1)
            return (
                ops.matmul(left, node_vectors),
                ops.matmul(ops.transpose(right, (0, 2, 1)), context_vectors),
            )

        # positive * softplus(-x) + negative * softplus(x)
        sizes = ops.abs(0.5 * logits) - ops.log(0.5 + 0.5 * ops.abs(halves))
        return ops.sum(total * sizes - 0.5 * signed * logits), gradients

    return loss(context_vectors, node_vectors)
