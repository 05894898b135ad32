"""A corpus as term ids in a memory-mapped file."""

import contextlib
import json
import os
from collections.abc import Callable

import numpy as np

from devise_tf.files import atomic_write
from devise_tf.text.corpus import Corpus
from devise_tf.text.id_matcher import read_ids
from devise_tf.text.tokenizer import Tokenizer
from devise_tf.text.vocabulary import Vocabulary
from devise_tf.text.word_index import END

# Raise it whenever the file or the way from text to terms changes.
VERSION = 2


class EncodedCorpus:
    """Term ids of a corpus, read from a file without loading it into memory.

    The file is a flat stream of little-endian 32-bit integers: the term ids of a line, then -1, and so on. Terms out
    of the vocabulary are left out, and so are lines without any other. Beside it, `PATH.json` says what it was made
    of; it is written last, so a file without it (or of another length than it says) is not complete.

    Attributes:
        path: Path of the file.
        ids: Read-only `np.memmap` of int32, shape `[num_ids + num_sentences]`: ids and, behind each line, -1.
        num_words: Integer. Words of the corpus before joining, those out of the vocabulary included.
        num_ids: Integer. Term ids in the file, the -1 not counted.
        num_sentences: Integer. Lines in the file, each of which holds at least one id.

    Example:

    >>> encoded = encode_corpus(corpus, vocabulary, "model_dir/corpus.ids")
    >>> EncodedCorpus.open("model_dir/corpus.ids").matches(corpus, vocabulary)
    True
    """

    def __init__(self, path: str, ids: np.ndarray, information: dict):
        self.path = path
        self.ids = ids
        self._information = information
        self.num_words: int = information["num_words"]
        self.num_ids: int = information["num_ids"]
        self.num_sentences: int = information["num_sentences"]

    @classmethod
    def open(cls, path: str | os.PathLike) -> "EncodedCorpus":
        """Opens what `encode_corpus` wrote.

        Raises:
            ValueError: The file or the one beside it is missing, incomplete, or of another version; encode again.
        """
        path = os.fspath(path)
        try:
            with open(sidecar_path(path), encoding="utf-8") as handle:
                information = json.load(handle)
            if information["version"] != VERSION:
                raise ValueError(f"version {information['version']} instead of {VERSION}")
            size = 4 * (information["num_ids"] + information["num_sentences"])
            if os.path.getsize(path) != size:
                raise ValueError(f"{os.path.getsize(path)} bytes instead of {size}")
            return cls(path, np.memmap(path, dtype="<i4", mode="r"), information)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Not a complete encoded corpus ({error}); encode it again. Received: {path=}") from error

    def matches(self, corpus: Corpus, vocabulary: Vocabulary) -> bool:
        """Whether the file was made of this very corpus (names, sizes, times of modification) and vocabulary."""
        expected = made_of(corpus.fingerprint(), vocabulary, corpus.tokenizer)
        return expected == {name: self._information.get(name) for name in expected}


def encode_corpus(
    corpus: Corpus,
    vocabulary: Vocabulary,
    path: str | os.PathLike,
    progress: Callable[[int, int | None], None] | None = None,
) -> EncodedCorpus:
    """Writes a corpus as term ids.

    The multi-word terms of the vocabulary are joined, the longest first (see `TermMatcher`), and then its phrases,
    which gives the terms that `Vocabulary.build` counted.

    Args:
        corpus: `Corpus`. The text.
        vocabulary: `Vocabulary`. The terms and their ids.
        path: Path of the file to write; `PATH.json` is written beside it. Nothing is left there that
            `EncodedCorpus.open` would accept if writing fails or is interrupted.
        progress: Function, optional. Called with `(bytes_read, corpus.size_bytes)` now and then.

    Returns:
        The `EncodedCorpus`.

    Raises:
        ValueError: No term of the vocabulary occurs in the corpus, or the corpus cannot be read (see `Corpus`).
        OSError: The disk is full or the file cannot be written.
    """
    path = os.fspath(path)
    information = {"version": VERSION, **made_of(corpus.fingerprint(), vocabulary, corpus.tokenizer)}
    index, matchers = vocabulary.index_words(corpus.tokenizer)
    num_words = num_terms = num_sentences = 0
    with contextlib.suppress(FileNotFoundError):
        os.unlink(sidecar_path(path))
    with atomic_write(path) as handle:
        for words, ids in read_ids(corpus, index, matchers, progress):
            ids = ids[(ids >= END) & (ids < len(vocabulary))]
            # Of lines without a known term only their ends are left, each behind another or at the beginning.
            ends = ids == END
            ids = ids[~ends | np.append(False, ~ends[:-1])]
            sentences = int(np.count_nonzero(ids == END))
            num_words += words
            num_terms += ids.size - sentences
            num_sentences += sentences
            handle.write(ids.astype("<i4", copy=False).tobytes())
        if not num_terms:
            raise ValueError(
                f"None of the {len(vocabulary)} terms of the vocabulary occurs in the corpus. "
                f"Received: corpus={corpus.pattern!r}"
            )
    information |= {"num_words": num_words, "num_ids": num_terms, "num_sentences": num_sentences}
    with atomic_write(sidecar_path(path)) as handle:
        handle.write(json.dumps(information, indent=1).encode("utf-8"))
    return EncodedCorpus.open(path)


def made_of(corpus: list, vocabulary: Vocabulary, tokenizer: Tokenizer) -> dict[str, object]:
    """What an encoded corpus is made of: the fingerprints of the text, the vocabulary and the tokenizer."""
    return {"vocabulary": vocabulary.fingerprint(), "corpus": corpus, "tokenizer": tokenizer.fingerprint()}


def sidecar_path(path: str) -> str:
    return path + ".json"
