"""What labels are to an exported model: how their text becomes a vector, and how that is scored."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from devise_tf.labels import LabelSpace, LabelTable, OutputSpace, SimilarityProfile, WordSpace
from devise_tf.layers.label_index import search_labels
from devise_tf.text.tokenizer import SEPARATORS_RE2

# Bounds of one request, over all its rows, which keep what it takes below a few hundred MiB.
MAX_REQUEST_LABELS = 16_384
MAX_REQUEST_WORDS = 65_536
MAX_REQUEST_SCORES = 2**20


def split_label_text(texts: tf.Tensor) -> tf.RaggedTensor:
    """The words of label texts, as `devise_tf.text.tokenize` gives them, by TensorFlow's core operations.

    Args:
        texts: string [L]. The texts.

    Returns:
        Ragged string tensor [L, words]; a text without letters and numbers has no words.
    """
    # A string may hold NUL, at which the lower case would end.
    texts = tf.strings.regex_replace(texts, r"\x00", " ")
    # ASCII first: the server's language must not make "I" a Turkish one.
    texts = tf.strings.lower(tf.strings.lower(texts), encoding="utf-8")
    return tf.strings.split(tf.strings.regex_replace(texts, SEPARATORS_RE2, " "))


class LabelGraph(tf.Module):
    """The labels that are answered without being asked for, and the terms that requests may name.

    Args:
        texts: list of str, [L]. The label texts that are answered.
        terms: list of str, [V]. Normalized terms ("snow_leopard") that requests may name, all different.
        terms_file: str. Where to write the terms, a line each; the file becomes an asset of the SavedModel.
    """

    def __init__(self, texts: Sequence[str], terms: Sequence[str], terms_file: str, name: str = "labels"):
        super().__init__(name=name)
        with open(terms_file, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{term}\n" for term in terms)
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

    @property
    def values(self) -> tf.Variable:
        """What the answered labels are searched by, the `values` of a `LabelTable`."""
        raise NotImplementedError

    def embedding(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Embeddings [N, D] and their norms [N] before they are brought to scale, of what the network gives."""
        raise NotImplementedError

    def answers(self, embedding: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The texts of the best labels and their scores: [N, D] -> [N, k] both, fewer where there are fewer labels."""
        scores, rows = search_labels(embedding, tf.convert_to_tensor(self.values), k)
        return tf.gather(self.texts, tf.maximum(rows, 0)), scores

    def _find(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.RaggedTensor, tf.Tensor, tf.Tensor]:
        """Rows of whole terms [L], the words, rows of the words [all words], and how many of a text's do [L]."""
        words = split_label_text(texts)
        with tf.control_dependencies([at_most(tf.size(words.flat_values), MAX_REQUEST_WORDS, "words in its labels")]):
            words = words.with_flat_values(tf.identity(words.flat_values))
        rows = self.table.lookup(tf.strings.reduce_join(words, axis=1, separator="_"))
        word_rows = self.table.lookup(words.flat_values)
        num_known = tf.math.unsorted_segment_sum(
            tf.cast(word_rows >= 0, tf.int32), words.value_rowids(), tf.shape(texts)[0]
        )
        return rows, words, word_rows, num_known


class VectorGraph(LabelGraph):
    """Labels as unit-norm vectors: of a whole term, else the mean of its words' vectors, as in training.

    A label that a request names is a single term. So the mean of a label's terms (`label_terms` of
    `devise_tf.labels.WordSpace`) is in the vectors of the labels that are answered, and in no others.

    Args:
        texts, terms, terms_file: See `LabelGraph`.
        label_vectors: float32 [L, D]. Unit-norm vectors of the answered labels; with `profile` their profiles.
        term_vectors: float32 [V, W]. Vectors of the terms, none of them zero; W is D without `profile`.
        heads: bool. Whether the vector of the last word is added to that of a text of several words, as with
            `label_terms="heads"`.
        profile: SimilarityProfile. D references, which turn the unit-norm vectors of texts into profiles. None: the
            vectors themselves are compared.
    """

    def __init__(
        self,
        texts: Sequence[str],
        label_vectors: np.ndarray,
        terms: Sequence[str],
        term_vectors: np.ndarray,
        terms_file: str,
        heads: bool = False,
        profile: SimilarityProfile | None = None,
    ):
        super().__init__(texts, terms, terms_file)
        self.label_vectors = tf.Variable(label_vectors, shape=[None, label_vectors.shape[1]], trainable=False)
        self.term_vectors = tf.Variable(term_vectors, shape=[None, term_vectors.shape[1]], trainable=False)
        self.heads = heads
        self.references = None if profile is None else tf.Variable(profile.references, trainable=False)
        self.profile_temperature = None if profile is None else profile.temperature

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
            that are known, int32 [L], all of them where the term is found whole; and of its words, int32 [L].
        """
        rows, words, word_rows, num_known = self._find(texts)
        count = tf.cast(words.row_lengths(), tf.int32)
        whole = rows >= 0
        sums = tf.math.unsorted_segment_sum(
            tf.gather(self.term_vectors, tf.maximum(word_rows, 0)), words.value_rowids(), tf.shape(texts)[0]
        )
        vectors = tf.where(whole[:, None], tf.gather(self.term_vectors, tf.maximum(rows, 0)), sums)
        known_tokens = tf.where(whole, count, num_known)
        known = (known_tokens == count) & (count > 0)
        vectors = unit_norm(tf.where(known[:, None], vectors, 0.0))[0]
        if self.heads:
            # The row of the last word; for a text without words it is another's, which is not used.
            last = tf.gather(tf.concat([[-1], word_rows], 0), words.row_splits[1:])
            added = unit_norm(vectors + unit_norm(tf.gather(self.term_vectors, tf.maximum(last, 0)))[0])[0]
            vectors = tf.where((known & (count > 1) & (last >= 0))[:, None], added, vectors)
        if self.references is not None:
            # A zero vector is as similar to one reference as to another, which is a profile, too.
            vectors = tf.where(known[:, None], self._profiles(vectors, self.references), 0.0)
        return vectors, known_tokens, count

    def _profiles(self, vectors: tf.Tensor, references: tf.Variable) -> tf.Tensor:
        """`SimilarityProfile` by TensorFlow's operations: [L, W] -> [L, D]."""
        values = tf.shape(vectors)[0] * references.shape[0]
        with tf.control_dependencies([at_most(values, 64 * MAX_REQUEST_SCORES, "values in vectors of its labels")]):
            vectors = tf.identity(vectors)
        logits = tf.matmul(vectors, references, transpose_b=True) / self.profile_temperature
        return unit_norm(tf.exp(logits - tf.reduce_max(logits, axis=1, keepdims=True)))[0]

    def scores(self, embedding: tf.Tensor, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores of label lists: embeddings [N, D], texts [N or 1, M] -> scores [N, M], known [N or 1, M]."""
        vectors, known_tokens, count = self.embed(tf.reshape(texts, [-1]))
        shape = tf.shape(texts)
        vectors = tf.reshape(vectors, tf.concat([shape, [self.label_vectors.shape[1]]], 0))
        known = tf.reshape((known_tokens == count) & (count > 0), shape)
        return tf.matmul(vectors, embedding[:, :, None])[:, :, 0], known


class OutputGraph(LabelGraph):
    """Labels as the outputs of a softmax: the terms of trained labels, and no others.

    Args:
        texts, terms, terms_file: See `LabelGraph`.
        columns: int [L]. The outputs of the answered labels.
        term_columns: int [V]. The outputs that the terms stand for.
        num_columns: int. Number of outputs, D.
    """

    def __init__(
        self,
        texts: Sequence[str],
        columns: Sequence[int] | np.ndarray,
        terms: Sequence[str],
        term_columns: Sequence[int],
        num_columns: int,
        terms_file: str,
    ):
        super().__init__(texts, terms, terms_file)
        self.num_columns = num_columns
        self.label_columns = tf.Variable(np.asarray(columns, np.int32), shape=[None], trainable=False)
        self.term_columns = tf.Variable(np.asarray(term_columns, np.int32), shape=[None], trainable=False)

    @property
    def values(self) -> tf.Variable:
        return self.label_columns

    def embedding(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        embedding = tf.nn.softmax(outputs)
        return embedding, tf.norm(embedding, axis=1)

    def _columns(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.RaggedTensor]:
        rows, words, _, _ = self._find(texts)
        return tf.where(rows >= 0, tf.gather(self.term_columns, tf.maximum(rows, 0)), -1), words

    def embed(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One-hot vectors of label texts, zero for others; see `VectorGraph.embed`."""
        columns, words = self._columns(texts)
        count = tf.cast(words.row_lengths(), tf.int32)
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
    columns = space.columns
    return OutputGraph(texts, table.values, list(columns), list(columns.values()), len(space.outputs), terms_file)


def _vector_graph(
    space: WordSpace, table: LabelTable, texts: Sequence[str], terms_file: str, max_terms: int
) -> VectorGraph:
    terms, vectors = space.requestable_terms(table.labels.names(), max_terms)
    return VectorGraph(texts, table.values, terms, vectors, terms_file, space.label_terms == "heads", space.profile)


_GRAPHS: dict[type, Callable[..., LabelGraph]] = {OutputSpace: _output_graph, WordSpace: _vector_graph}


def at_most(count: tf.Tensor, limit: int, what: str) -> tf.Operation:
    """Refuses a request that holds too much of something."""
    return tf.raw_ops.Assert(
        condition=count <= limit, data=[f"a request may have at most {limit} {what}. Received:", count]
    )


def unit_norm(vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Vectors [N, D] brought to unit norm, and their norms [N]; a zero vector stays zero."""
    norms = tf.norm(vectors, axis=1)
    return tf.math.divide_no_nan(vectors, norms[:, None]), norms
