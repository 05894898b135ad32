"""Text to words by TensorFlow Text: the same operations for the text of phase 1 and in exported graphs."""

import abc
import functools

import tensorflow as tf
import tensorflow_text as tf_text

from devise_tf.text.tokenizer import SENTENCEPIECE, UNICODE_SCRIPT, Tokenizer

# What a word is made of: a letter or a number, and letters, numbers and marks behind it.
_SEPARATORS = r"[^\p{L}\p{N}\p{M}]+"
_MARKS_WITHOUT_LETTER = r"(^| )\p{M}+"


class TFTextTokenizer(Tokenizer):
    """Words that TensorFlow Text cuts, after the normalization of `WordTokenizer`; only letters, numbers and marks.

    Attributes:
        resources: `tf.Module`. What a SavedModel of the operations has to track.
    """

    def __init__(self):
        self._cached_words = functools.lru_cache(1 << 16)(self._words)
        self._open()

    def _open(self) -> None:
        """Makes the operations and the resources that they need."""
        self._joined_words = tf.function(
            lambda texts: tf.strings.reduce_join(self.words(texts), axis=1, separator=" "),
            [tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

    @abc.abstractmethod
    def words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The words of texts, string [N], as a ragged tensor [N, words]."""

    def tokenize(self, text: str) -> list[str]:
        return list(self._cached_words(text))

    def _words(self, text: str) -> list[str]:
        return self._folded([text.encode("utf-8", errors="replace")])[0].decode().split()

    def _folded(self, texts: list[bytes]) -> list[bytes]:
        """The words of texts with spaces between them."""
        with tf.device("CPU:0"):
            try:
                return self._joined_words(tf.constant(texts, tf.string)).numpy().tolist()
            except tf.errors.NotFoundError:  # Keras's `clear_session` takes resources away
                self._open()
                return self._joined_words(tf.constant(texts, tf.string)).numpy().tolist()

    def fold_block(self, block: bytes) -> bytes:
        # Bytes that are not UTF-8 separate words, as everywhere.
        lines = block.decode("utf-8", errors="replace").encode("utf-8").removesuffix(b"\n").split(b"\n")
        return b" \n ".join([*self._folded(lines), b""])


class UnicodeScriptTokenizer(TFTextTokenizer):
    """Words end, beside where `WordTokenizer` ends them, where the script changes: "東京タワー" is `東京`, `タワー`.

    Digits are a script of their own: "mp3" is `mp`, `3`.

    Reference:
        - [`UnicodeScriptTokenizer`](https://www.tensorflow.org/text/api_docs/python/text/UnicodeScriptTokenizer)
    """

    name = UNICODE_SCRIPT

    def _open(self) -> None:
        self.resources = tf_text.UnicodeScriptTokenizer()
        super()._open()

    def __reduce__(self):
        return UnicodeScriptTokenizer, ()

    def words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        words = tf.strings.split(only_words(normalized_text(texts)))
        pieces = joined_pieces(self.resources.tokenize(words.flat_values))
        return tf.strings.split(tf.strings.reduce_join(words.with_flat_values(pieces), axis=1, separator=" "))


class SentencePieceTokenizer(TFTextTokenizer):
    """Words are the pieces of a SentencePiece model, for scripts without spaces; their mark of a space is dropped.

    Text is normalized and without case before the model sees it: train the model on such text
    (`--normalization_rule_name=nmt_nfkc_cf`).

    Args:
        model: Bytes. What `spm_train` writes as `.model`.

    Raises:
        ValueError: This is no such model.

    Reference:
        - Kudo and Richardson, [SentencePiece](https://aclanthology.org/D18-2012/), EMNLP 2018
    """

    name = SENTENCEPIECE

    def __init__(self, model: bytes):
        self.model = model
        try:
            super().__init__()
            self.tokenize("a")
        except (tf.errors.OpError, ValueError) as error:
            raise ValueError(
                f"A tokenizer of SentencePiece needs a model that `spm_train` wrote. Received: {model[:20]!r}…"
            ) from error

    def __reduce__(self):
        return SentencePieceTokenizer, (self.model,)

    def _open(self) -> None:
        self.resources = tf_text.SentencepieceTokenizer(self.model, out_type=tf.string)
        super()._open()

    def words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return tf.strings.split(only_words(joined_pieces(self.resources.tokenize(normalized_text(texts)))))


def normalized_text(texts: tf.Tensor) -> tf.Tensor:
    """Texts as `WordTokenizer` normalizes them, by TensorFlow Text."""
    # The zero width space separates; the normalization would drop it.
    return tf_text.case_fold_utf8(tf.strings.regex_replace(texts, "\u200b", " "))


def joined_pieces(pieces: tf.RaggedTensor) -> tf.Tensor:
    """Pieces, ragged [N, pieces], with spaces between them; what belongs to the letter before it stays there."""
    joined = tf.strings.reduce_join(pieces, axis=1, separator=" ")
    return tf.strings.regex_replace(joined, r" ([\p{M}\p{Lm}])", r"\1")


def only_words(texts: tf.Tensor) -> tf.Tensor:
    """Normalized texts with a space for whatever separates words, and without marks that belong to no letter."""
    words = tf.strings.regex_replace(texts, _SEPARATORS, " ")
    return tf.strings.regex_replace(words, _MARKS_WITHOUT_LETTER, r"\1")
