"""Text to words by TensorFlow Text: the same operations for the text of phase 1 and in exported graphs."""

import abc

import tensorflow as tf
import tensorflow_text as tf_text

from devise_tf.text.tokenizer import Tokenizer

# What a word is made of: a letter or a number, and letters, numbers and marks behind it.
_SEPARATORS = r"[^\p{L}\p{N}\p{M}]+"
_MARKS_WITHOUT_LETTER = r"(^| )\p{M}+"


class TFTextTokenizer(Tokenizer):
    """Words that TensorFlow Text cuts, after the normalization of `WordTokenizer`; only letters, numbers and marks."""

    @abc.abstractmethod
    def cut(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Cuts normalized texts, string [N], in pieces, ragged [N, pieces], which may hold separators still."""

    def words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The words of texts, string [N], as a ragged tensor [N, words]."""
        normalized = normalized_text(texts)
        pieces = tf.strings.reduce_join(self.cut(normalized), axis=1, separator=" ")
        return tf.strings.split(only_words(pieces))

    def tokenize(self, text: str) -> list[str]:
        with tf.device("CPU:0"):
            words = self.words(tf.constant([text.encode("utf-8", errors="replace")]))
        return [word.decode() for word in words[0].numpy().tolist()]

    def fold_block(self, block: bytes) -> bytes:
        # Bytes that are not UTF-8 separate words, as everywhere.
        lines = block.decode("utf-8", errors="replace").encode("utf-8").removesuffix(b"\n").split(b"\n")
        with tf.device("CPU:0"):
            folded = tf.strings.reduce_join(self.words(tf.constant(lines)), axis=1, separator=" ").numpy()
        return b" \n ".join([*folded.tolist(), b""])


class UnicodeScriptTokenizer(TFTextTokenizer):
    """Words end, beside where `WordTokenizer` ends them, where the script changes: "東京タワー" is `東京`, `タワー`.

    Reference:
        - [`UnicodeScriptTokenizer`](https://www.tensorflow.org/text/api_docs/python/text/UnicodeScriptTokenizer)
    """

    name = "unicode_script"

    def __init__(self):
        self._tokenizer = tf_text.UnicodeScriptTokenizer()

    def __reduce__(self):
        return UnicodeScriptTokenizer, ()

    def cut(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return self._tokenizer.tokenize(texts)


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

    name = "sentencepiece"

    def __init__(self, model: bytes):
        self.model = model
        try:
            self._tokenizer = tf_text.SentencepieceTokenizer(model, out_type=tf.string)
            self._tokenizer.tokenize(["a"])
        except (tf.errors.OpError, ValueError) as error:
            raise ValueError(
                f"A tokenizer of SentencePiece needs a model that `spm_train` wrote. Received: {model[:20]!r}…"
            ) from error

    def __reduce__(self):
        return SentencePieceTokenizer, (self.model,)

    def cut(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return self._tokenizer.tokenize(texts)


def normalized_text(texts: tf.Tensor) -> tf.Tensor:
    """Texts as `WordTokenizer` normalizes them, by TensorFlow Text."""
    # The zero width space separates; the normalization would drop it.
    return tf_text.case_fold_utf8(tf.strings.regex_replace(texts, "\u200b", " "))


def only_words(texts: tf.Tensor) -> tf.Tensor:
    """Normalized texts with a space for whatever separates words, and without marks that belong to no letter."""
    words = tf.strings.regex_replace(texts, _SEPARATORS, " ")
    return tf.strings.regex_replace(words, _MARKS_WITHOUT_LETTER, r"\1")
