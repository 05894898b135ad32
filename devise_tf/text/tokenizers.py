"""Rules by which text becomes words, by name."""

import functools
import os
import types

from devise_tf.choices import TOKENIZERS
from devise_tf.text.earlier_tokenizer import UNNORMALIZED_WORDS
from devise_tf.text.tokenizer import SENTENCEPIECE, UNICODE_SCRIPT, WORDS, Tokenizer


@functools.lru_cache(8)
def get_tokenizer(setting: str = "") -> Tokenizer:
    """The rule that a setting names.

    Args:
        setting: String. A value of `--tokenizer`: `"words"`, also meant by `""`; `"unicode_script"`;
            `"sentencepiece:FILE"`; or `"unnormalized_words"`.

    Raises:
        ValueError: There is no such rule, or its file is none of SentencePiece's.
        ImportError: TensorFlow Text is not installed.
        OSError: The file cannot be read.
    """
    name, _, file = setting.partition(":")
    for tokenizer in (WORDS, UNNORMALIZED_WORDS):
        if setting in ("", tokenizer.name):
            return tokenizer
    if setting == UNICODE_SCRIPT:
        return _tf_text_tokenizers().UnicodeScriptTokenizer()
    if name == SENTENCEPIECE and file:
        with open(os.path.expanduser(file), "rb") as handle:
            model = handle.read()
        try:
            return sentencepiece_tokenizer(model)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    raise ValueError(f"`tokenizer` must be one of {', '.join(TOKENIZERS)}. Received: tokenizer={setting!r}")


def sentencepiece_tokenizer(model: bytes) -> Tokenizer:
    """The rule of a SentencePiece model.

    Raises:
        ValueError: This is no such model.
        ImportError: TensorFlow Text is not installed.
    """
    return _tf_text_tokenizers().SentencePieceTokenizer(model)


def _tf_text_tokenizers() -> types.ModuleType:
    try:
        from devise_tf.text import tf_text_tokenizers
    except ImportError as error:
        raise ImportError(
            "This tokenizer needs TensorFlow Text of the same version as TensorFlow: pip install tensorflow-text. "
            f"Received: {error}"
        ) from error
    return tf_text_tokenizers
