"""Which rule made the terms of a vector file: kept in a file beside it."""

import os
from typing import TypeVar

from devise_tf.files import atomic_write
from devise_tf.text.tokenizer import SENTENCEPIECE, WORDS, Tokenizer
from devise_tf.text.tokenizers import get_tokenizer

T = TypeVar("T")


def tokenizer_files(vectors: str | os.PathLike) -> tuple[str, str]:
    """The files beside a vector file that hold the rule: its name, and SentencePiece's model."""
    return os.fspath(vectors) + ".tokenizer", os.fspath(vectors) + ".sentencepiece"


def save_tokenizer(vectors: str | os.PathLike, tokenizer: Tokenizer) -> None:
    """Writes the rule beside a vector file, with SentencePiece's model where it has one."""
    path, model_path = tokenizer_files(vectors)
    if tokenizer.model:
        with atomic_write(model_path) as file:
            file.write(tokenizer.model)
    with atomic_write(path) as file:
        file.write(f"{tokenizer.name}\n".encode())


def load_tokenizer(vectors: str | os.PathLike, default: T = WORDS) -> Tokenizer | T:  # type: ignore[assignment]
    """The rule that made the terms of a vector file.

    Args:
        vectors: Path of the file.
        default: What to give for a file without a rule beside it.

    Raises:
        ValueError: There is no such rule.
        OSError: A file cannot be read.
    """
    path, model_path = tokenizer_files(vectors)
    if not os.path.isfile(path):
        return default
    with open(path, encoding="utf-8") as file:
        name = file.read().strip()
    return get_tokenizer(f"{name}:{model_path}" if name == SENTENCEPIECE else name)


def keep_tokenizer(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Writes the rule of a vector file beside another one, if the first has one."""
    tokenizer = load_tokenizer(source, None)
    if tokenizer is not None:
        save_tokenizer(target, tokenizer)
