"""A network that answers with labels."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops

from devise_tf.choices import MISSING_LABELS_OF_ANSWERS
from devise_tf.labels import LabelSet, LabelSpace
from devise_tf.layers.label_index import search_labels
from devise_tf.models.conse import ConSE

Head = Callable[[Any], Any]


class LabelModel:
    """A network with what labels are to it: DeViSE and its like, ConSE, a softmax.

    ```
    score(image, label) = embedding(image) . vector(label)      a cosine, where labels are vectors
                        = embedding(image) [output of label]    a probability, where they are outputs
    ```

    In a list that has labels of both kinds, cosines of trained ones lose the penalty of the space; see
    `devise_tf.labels.Penalty`.

    Args:
        name: str. The model's name in its run.
        network: keras.Model. From pixels, float32 `[B, S, S, 3]` in 0..255, to embeddings; of a `Classifier` to logits.
        open_space: Callable. `open_space(labels=None, missing="")` gives the `LabelSpace`; with a `LabelSet` it reads
            only what these labels need; `missing`, one of `devise_tf.choices.MISSING_LABELS`, replaces what the run
            does about labels without a vector.
        labels: LabelSet. The labels that it answers with if no others are named.
    """

    def __init__(self, name: str, network: keras.Model, open_space: Callable[..., LabelSpace], labels: LabelSet):
        self.name, self.network, self.open_space, self.labels = name, network, open_space, labels

    @cached_property
    def space(self) -> LabelSpace:
        """What labels are to the model: of all that it has vectors of. Unknown labels are left out."""
        return self.open_space(missing=MISSING_LABELS_OF_ANSWERS)

    def embed(self, pixels: Any) -> Any:
        """The embeddings of images, float32 `[B, D]`: of unit norm, or probabilities."""
        embeddings = ops.cast(self.network(pixels, training=False), "float32")
        return ops.divide_no_nan(embeddings, ops.norm(embeddings, axis=1, keepdims=True))

    def answer(
        self, pixels: Any, values: Any, offsets: Any, k: Any, embed: Callable[[Any], Any] | None = None
    ) -> tuple[Any, Any, Any]:
        """The best entries of a table of labels.

        Args:
            pixels: float32 tensor `[B, S, S, 3]`.
            values, offsets: Tensors. Those of a `LabelTable` of the model's space.
            k: int. Number of entries.
            embed: Callable or None. A compiled form of `embed` to use.

        Returns:
            Embeddings, `[B, D]`; scores, `[B, k]`, the best first; and rows of the table, int32 `[B, k]`.
        """
        embeddings = (embed or self.embed)(pixels)
        return embeddings, *search_labels(embeddings, values, k, offsets=offsets)

    def value_spec(self, dimension: int) -> tuple[list[int | None], str]:
        """The shape and dtype of the `values` of tables of any length, for embeddings of a dimension."""
        return [None, dimension], "float32"

    def parts(self) -> tuple[keras.Model, Head]:
        """The visual network, which other models may share, and what makes of its outputs what labels are ranked by."""
        if isinstance(self.network, ConSE):
            return self.network.classifier, self.network.combine
        return self.network.visual_model, lambda features: _normalized(self.network.embed(*_listed(features)))


class Classifier(LabelModel):
    """A softmax network, whose labels are its outputs. They are ranked by logits, which are not rounded as much."""

    def embed(self, pixels: Any) -> Any:
        return ops.softmax(ops.cast(self.network(pixels, training=False), "float32"), axis=-1)

    def value_spec(self, dimension: int) -> tuple[list[int | None], str]:
        return [None], "int32"

    def parts(self) -> tuple[keras.Model, Head]:
        return self.network, lambda logits: logits


def _listed(outputs: Any) -> Sequence[Any]:
    return outputs if isinstance(outputs, (list, tuple)) else [outputs]


def _normalized(embeddings: Any) -> Any:
    return ops.normalize(ops.cast(embeddings, "float32"), axis=-1)


def shared_parts(models: Sequence[LabelModel]) -> list[tuple[Callable[[Any], Any], Head]]:
    """The `parts` of models, those that stand on one softmax network with one network for all of them.

    Returns:
        For each model a function from pixels to features, the same object for models that share it, and one from
        features to what its labels are ranked by.
    """
    parts = [model.parts() for model in models]
    classifier = next((network for network, _ in parts if _has_softmax(network)), None)
    if classifier is None:
        return [(_Inference(network), head) for network, head in parts]
    representation = keras.Model(classifier.input, classifier.get_layer("representation").output)
    both = keras.Model(classifier.input, [representation.output, classifier.output])
    shared = _Inference(both)
    result: list[tuple[Callable[[Any], Any], Head]] = []
    for network, head in parts:
        if isinstance(network.output_shape, list) and _same_weights(network, both):
            result.append((shared, head))
        elif network is classifier or _same_weights(network, classifier):
            result.append((shared, _of_output(1, head)))
        elif _same_weights(network, representation):
            result.append((shared, _of_output(0, head)))
        else:
            result.append((_Inference(network), head))
    return result


class _Inference:
    """A network as it is when it is not trained; comparable by identity."""

    def __init__(self, network: keras.Model):
        self.network = network

    def __call__(self, pixels: Any) -> Any:
        return self.network(pixels, training=False)


def _has_softmax(network: keras.Model) -> bool:
    names = [layer.name for layer in network.layers]
    return "representation" in names and names[-1] == "logits" and not isinstance(network.output_shape, list)


def _same_weights(one: keras.Model, other: keras.Model) -> bool:
    if [weight.shape for weight in one.weights] != [weight.shape for weight in other.weights]:
        return False
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def _of_output(number: int, head: Head) -> Head:
    return lambda outputs: head(outputs[number])
