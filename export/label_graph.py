"""What labels are to an exported model: how their text becomes a vector, and how that is scored."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

import numpy as np
import tensorflow as tf

from devise_tf.export.term_graph import FoundTerms, TermGraph, at_most, term_keys
from devise_tf.labels import LabelSpace, LabelTable, OutputSpace, WordSpace
from devise_tf.layers.label_index import search_labels
from devise_tf.text.term_index import TermIndex

# Bounds of one request, over all its rows, which keep what it takes below a few hundred MiB.
MAX_REQUEST_LABELS = 16_384
MAX_REQUEST_SCORES = 2**20


class LabelGraph(tf.Module):
    """The labels that are answered without being asked for, and the terms that requests may name.

    Args:
        texts: list of str, [L]. The label texts that are answered.
        index: TermIndex. The terms that requests may name.
        terms_file: str. Where to write what terms are found by, a line each; the file becomes an asset of the
            SavedModel.
        trained: Collection of tuples of int. What terms of trained labels are made of; see `WordSpace`.

    Attributes:
        offsets: tf.Variable or None. float32 [L]. What is added to the answered labels' scores; see `LabelTable`.
    """

    offsets: tf.Variable | None = None

    def __init__(
        self,
        texts: Sequence[str],
        index: TermIndex,
        terms_file: str,
        trained: Collection[tuple[int, ...]] = (),
        name: str = "labels",
    ):
        super().__init__(name=name)
        keys, rows = term_keys(index, trained)
        with open(terms_file, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{key}\n" for key in keys)
        # Without a static length: another list of labels is another checkpoint under the same graph.
        self.texts = tf.Variable(np.array([text.encode() for text in texts], object), shape=[None], trainable=False)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                terms_file,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=-1,
        )
        self.num_terms = len(index.rows)
        self.key_rows = tf.Variable(np.array(rows, np.int32), shape=[None], trainable=False)
        # SentencePiece's model.
        self.tokenizer_resources = getattr(index.tokenizer, "resources", None)
        self._terms = TermGraph(self.table, self.key_rows, index.tokenizer)

    @property
    def values(self) -> tf.Variable:
        """What the answered labels are searched by, the `values` of a `LabelTable`."""
        raise NotImplementedError

    def embedding(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Embeddings [N, D] and their norms [N] before they are brought to scale, of what the network gives."""
        raise NotImplementedError

    def answers(self, embedding: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The texts of the best labels and their scores: [N, D] -> [N, k] both, fewer where there are fewer labels."""
        scores, rows = search_labels(embedding, tf.convert_to_tensor(self.values), k, offsets=self.offsets)
        return tf.gather(self.texts, tf.maximum(rows, 0)), scores


class VectorGraph(LabelGraph):
    """Labels as unit-norm vectors, made of the vectors of terms as `devise_tf.labels.WordSpace` makes them.

    Args:
        texts, terms_file: See `LabelGraph`.
        label_vectors: float32 [L, D]. Unit-norm vectors of the answered labels; with a profile their profiles.
        space: WordSpace. The terms that requests may name, with their vectors, none of them zero; and what label
            vectors are made of.
        offsets: float32 [L]. What is added to the scores of the answered labels, where `space` has a penalty.
    """

    def __init__(
        self,
        texts: Sequence[str],
        label_vectors: np.ndarray,
        space: WordSpace,
        terms_file: str,
        offsets: np.ndarray | None = None,
    ):
        super().__init__(texts, space.index, terms_file, space.trained)
        self.label_vectors = tf.Variable(label_vectors, shape=[None, label_vectors.shape[1]], trainable=False)
        self.term_vectors = tf.Variable(space.vectors, shape=[None, space.vectors.shape[1]], trainable=False)
        self.head_rows = None
        if space.label_terms == "heads":
            self.head_rows = tf.Variable(space.head_rows(), shape=[None], trainable=False)
        self.of_several_terms = space.of_several_terms
        profile = space.profile
        self.references = None if profile is None else tf.Variable(profile.references, trainable=False)
        self.profile_temperature = None if profile is None else profile.temperature
        self.penalty = 0.0
        if space.penalty is not None:
            self.penalty = float(space.penalty.amount)
            self.offsets = tf.Variable(offsets, shape=[None], trainable=False)
            self.trained_rows = tf.Variable(space.trained_rows(), shape=[None], trainable=False)

    @property
    def values(self) -> tf.Variable:
        return self.label_vectors

    def embedding(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return unit_norm(outputs)

    def embed(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Vectors of label texts.

        Args:
            texts: string [L]. The texts.

        Returns:
            Unit-norm vectors float32 [L, D], zero for a text that misses a word's vector; the number of its words
            that are known, int32 [L], all of them where a term is found whole or composed; and of its words, int32 [L].
            Of a text of several terms they are the words of the term that the vector is made of, else of the first.
        """
        return self._made(texts)[:3]

    def _made(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """What `embed` gives, and whether all that a vector is made of is trained labels', bool [L]."""
        found, num_texts = self._terms.find(texts), tf.shape(texts, tf.int64)[0]
        whole, complete = found.rows >= 0, (found.known == found.count) & (found.count > 0)
        chosen = first_of(found.texts, whole, complete, num_texts)
        vectors = tf.where(complete[:, None], self._term_vectors(found, whole), 0.0)
        trained = self._is_trained(found, whole) if self.penalty else None
        if self.of_several_terms:
            taken = whole | (tf.range(tf.size(whole, tf.int64)) == tf.gather(chosen, found.texts))
            taken_vectors = tf.where(taken[:, None], vectors, 0.0)
            vectors = unit_norm(tf.math.unsorted_segment_sum(taken_vectors, found.texts, num_texts))[0]
            if trained is not None:
                others = tf.math.unsorted_segment_sum(tf.cast(taken & ~trained, tf.int32), found.texts, num_texts)
                trained = others == 0
        else:
            vectors = tf.gather(vectors, chosen)
            trained = None if trained is None else tf.gather(trained, chosen)
        known_tokens, count = (tf.gather(values, chosen) for values in (found.known, found.count))
        if self.references is not None:
            # A zero vector is as similar to one reference as to another, which is a profile, too.
            known = (known_tokens == count) & (count > 0)
            vectors = tf.where(known[:, None], self._profiles(vectors, self.references), 0.0)
        return vectors, known_tokens, count, trained

    def _is_trained(self, found: FoundTerms, whole: tf.Tensor) -> tf.Tensor:
        """Whether each term is found as one of the trained labels' terms is, bool [T]."""
        is_trained = tf.gather(self.trained_rows, tf.maximum(found.rows, 0))
        return tf.where(whole, is_trained, self._terms.is_known_composition(found))

    def _term_vectors(self, found: FoundTerms, whole: tf.Tensor) -> tf.Tensor:
        """Unit-norm vectors of terms [T, W]; zero of those that are unknown."""
        num_terms = tf.size(whole, tf.int64)
        sums = tf.math.unsorted_segment_sum(tf.gather(self.term_vectors, found.part_rows), found.part_terms, num_terms)
        rows = tf.maximum(found.rows, 0)
        vectors = unit_norm(tf.where(whole[:, None], tf.gather(self.term_vectors, rows), sums))[0]
        if self.head_rows is None:
            return vectors
        # Of a composed term the head is that of its last part, or that part.
        places = tf.range(tf.size(found.part_rows))
        last = tf.math.unsorted_segment_max(places, found.part_terms, num_terms)
        last = tf.gather(tf.concat([found.part_rows, [0]], 0), tf.where(whole, tf.size(places), tf.maximum(last, 0)))
        heads = tf.gather(self.head_rows, tf.where(whole, rows, last))
        heads = tf.where(~whole & (heads == WordSpace.NO_HEAD), last, heads)
        added = unit_norm(vectors + unit_norm(tf.gather(self.term_vectors, tf.maximum(heads, 0)))[0])[0]
        return tf.where((heads >= 0)[:, None], added, vectors)

    def _profiles(self, vectors: tf.Tensor, references: tf.Variable) -> tf.Tensor:
        """`SimilarityProfile` by TensorFlow's operations: [L, W] -> [L, D]."""
        values = tf.shape(vectors)[0] * references.shape[0]
        with tf.control_dependencies([at_most(values, 64 * MAX_REQUEST_SCORES, "values in vectors of its labels")]):
            vectors = tf.identity(vectors)
        logits = tf.matmul(vectors, references, transpose_b=True) / self.profile_temperature
        return unit_norm(tf.exp(logits - tf.reduce_max(logits, axis=1, keepdims=True)))[0]

    def scores(self, embedding: tf.Tensor, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores of label lists: embeddings [N, D], texts [N or 1, M] -> scores [N, M], known [N or 1, M]."""
        vectors, known_tokens, count, trained = self._made(tf.reshape(texts, [-1]))
        shape = tf.shape(texts)
        vectors = tf.reshape(vectors, tf.concat([shape, [self.label_vectors.shape[1]]], 0))
        known = tf.reshape((known_tokens == count) & (count > 0), shape)
        scores = tf.matmul(vectors, embedding[:, :, None])[:, :, 0]
        if trained is not None:
            trained = tf.reshape(trained, shape)
            has_others = tf.reduce_any(known & ~trained, axis=1, keepdims=True)
            scores += tf.where(trained & has_others, -self.penalty, 0.0)
        return scores, known


class OutputGraph(LabelGraph):
    """Labels as the outputs of a softmax: the terms of trained labels, and no others.

    Args:
        texts, terms_file: See `LabelGraph`.
        columns: int [L]. The outputs of the answered labels.
        space: OutputSpace. The terms of the trained labels, with their outputs.
    """

    def __init__(self, texts: Sequence[str], columns: Sequence[int] | np.ndarray, space: OutputSpace, terms_file: str):
        super().__init__(texts, space.index, terms_file)
        self.num_columns = len(space.outputs)
        self.label_columns = tf.Variable(np.asarray(columns, np.int32), shape=[None], trainable=False)

    @property
    def values(self) -> tf.Variable:
        return self.label_columns

    def embedding(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        embedding = tf.nn.softmax(outputs)
        return embedding, tf.norm(embedding, axis=1)

    def _columns(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Outputs of texts [L], -1 where there is none, and how many words they have [L]; see `VectorGraph.embed`."""
        found = self._terms.find(texts)
        whole = found.rows >= 0
        chosen = first_of(found.texts, whole, whole, tf.shape(texts, tf.int64)[0])
        return tf.gather(found.rows, chosen), tf.gather(found.count, chosen)

    def embed(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One-hot vectors of label texts, zero for others; see `VectorGraph.embed`."""
        columns, count = self._columns(texts)
        values = tf.size(columns) * self.num_columns
        with tf.control_dependencies([at_most(values, 64 * MAX_REQUEST_SCORES, "values in its answer")]):
            columns = tf.identity(columns)
        return tf.one_hot(columns, self.num_columns), tf.where(columns >= 0, count, 0), count

    def scores(self, embedding: tf.Tensor, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores of label lists: embeddings [N, D], texts [N or 1, M] -> scores [N, M], known [N or 1, M]."""
        columns = tf.reshape(self._columns(tf.reshape(texts, [-1]))[0], tf.shape(texts))
        positions = tf.broadcast_to(tf.maximum(columns, 0), [tf.shape(embedding)[0], tf.shape(texts)[1]])
        return tf.gather(embedding, positions, batch_dims=1), columns >= 0


def label_graph(
    space: LabelSpace, table: LabelTable, texts: Sequence[str], terms_file: str, max_terms: int
) -> LabelGraph:
    """The graph's form of what labels are to a model.

    Args:
        space: LabelSpace. What labels are to the model.
        table: LabelTable. The labels that are answered.
        texts: Sequence of str. What is answered in their place.
        terms_file: str. See `LabelGraph`.
        max_terms: int. Most terms that requests may name beside those of the labels.
    """
    return _GRAPHS[type(space)](space, table, texts, terms_file, max_terms)


def _output_graph(
    space: OutputSpace, table: LabelTable, texts: Sequence[str], terms_file: str, max_terms: int
) -> OutputGraph:
    return OutputGraph(texts, table.values, space, terms_file)


def _vector_graph(
    space: WordSpace, table: LabelTable, texts: Sequence[str], terms_file: str, max_terms: int
) -> VectorGraph:
    terms, vectors = space.requestable_terms(table.labels.term_filter(space.tokenizer), max_terms)
    known = dataclasses.replace(space, terms=terms, vectors=vectors)
    return VectorGraph(texts, table.values, known, terms_file, table.offsets)


_GRAPHS: dict[type, Callable[..., LabelGraph]] = {OutputSpace: _output_graph, WordSpace: _vector_graph}


def first_of(texts: tf.Tensor, best: tf.Tensor, good: tf.Tensor, num_texts: tf.Tensor) -> tf.Tensor:
    """Of each text the place of its first best term, else of its first good one, else of its first; int64 [num_texts].

    Args:
        texts: int64 [T]. The text that each term is of; each text has a term.
        best, good: bool [T].
        num_texts: int64.
    """
    places = tf.range(tf.size(texts, tf.int64))
    worse = tf.size(texts, tf.int64)
    keys = tf.where(best, places, tf.where(good, places + worse, places + 2 * worse))
    return tf.math.unsorted_segment_min(keys, texts, num_texts) % tf.maximum(worse, 1)


def unit_norm(vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Vectors [N, D] brought to unit norm, and their norms [N]; a zero vector stays zero."""
    norms = tf.norm(vectors, axis=1)
    return tf.math.divide_no_nan(vectors, norms[:, None]), norms
