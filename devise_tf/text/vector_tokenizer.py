"""Which rule made the terms of a vector file: kept in a file beside it."""

import os

from devise_tf.files import atomic_write
from devise_tf.text.tokenizer import WORDS, Tokenizer, get_tokenizer

_SUFFIX, _MODEL_SUFFIX = ".tokenizer", ".sentencepiece"


def save_tokenizer(vectors: str | os.PathLike, tokenizer: Tokenizer) -> None:
    """Writes the rule beside a vector file, with SentencePiece's model where it has one; nothing for the default."""
    path = os.fspath(vectors)
    if tokenizer.model:
        with atomic_write(path + _MODEL_SUFFIX) as file:
            file.write(tokenizer.model)
    setting = f"{tokenizer.name}:{os.path.basename(path)}{_MODEL_SUFFIX}" if tokenizer.model else tokenizer.name
    if tokenizer is not WORDS:
        with atomic_write(path + _SUFFIX) as file:
            file.write(f"{setting}\n".encode())


def load_tokenizer(vectors: str | os.PathLike, default: str = "") -> Tokenizer:
    """The rule that made the terms of a vector file.

    Args:
        vectors: Path of the file.
        default: String. A value of `--tokenizer`, for a file without a rule beside it.

    Raises:
        ValueError: There is no such rule.
        OSError: A file cannot be read.
    """
    path = os.fspath(vectors)
    if not os.path.isfile(path + _SUFFIX):
        return get_tokenizer(default)
    with open(path + _SUFFIX, encoding="utf-8") as file:
        name, _, model = file.read().strip().partition(":")
    return get_tokenizer(f"{name}:{os.path.join(os.path.dirname(path), os.path.basename(model))}" if model else name)
