"""The same tokens for every trainer: a text file for those that read text, and term ids for ours."""

import dataclasses
import hashlib
import json
import os

import numpy as np

from devise_tf.files import atomic_write
from devise_tf.text import Corpus, EncodedCorpus, Vocabulary, encode_corpus, tokenize

# gensim's iterable mode drops what lies behind 10,000 words of a line, and fastText cuts at 1,024.
LONGEST_LINE = 1000
_HELD_OUT_EVERY = 100
_BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A prepared corpus.

    Attributes:
        directory: Where it lies: `text.txt` (a sentence a line, terms separated by spaces), `ids.npy` (the same as
            term ids, -1 behind each sentence), `held_out.npy` (sentences that are in neither) and `vocabulary.txt`.
        words: Words of the training part, before subsampling. Every one is in the vocabulary.
        sentences: Lines of the training part.
        terms: Size of the vocabulary.
        held_out_words: Words of the sentences held out.
    """

    directory: str
    words: int
    sentences: int
    terms: int
    held_out_words: int

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    @classmethod
    def open(cls, directory: str) -> "Prepared":
        with open(os.path.join(directory, "prepared.json"), encoding="utf-8") as file:
            return cls(directory, **json.load(file))

    def ids(self) -> np.ndarray:
        """The training part: int32 [words + sentences], memory-mapped."""
        return np.load(self.path("ids.npy"), mmap_mode="r")

    def vocabulary(self) -> Vocabulary:
        return Vocabulary.load(self.path("vocabulary.txt"))


def prepare(pattern: str, work_dir: str, words: int = 0, min_count: int = 5, hold_out: bool = False) -> Prepared:
    """Prepares the beginning of a corpus; what `work_dir` already holds is used again.

    The corpus is encoded with our vocabulary, lines of more than 1,000 terms are cut, and the terms are numbered anew
    by what is left: every term of the vocabulary occurs, the most frequent first.

    Args:
        pattern: The corpus, as `devise_tf.text.Corpus` takes it.
        work_dir: Directory for all that is written.
        words: Words to keep; 0 for all.
        min_count: Least occurrences of a term in the whole corpus.
        hold_out: Whether to keep every hundredth sentence out of the training part.
    """
    corpus = Corpus(pattern)
    whole = os.path.join(work_dir, "corpus-" + _key(corpus.fingerprint(), min_count))
    directory = os.path.join(whole, f"words-{words}-held-out" if hold_out else f"words-{words}")
    if os.path.exists(os.path.join(directory, "prepared.json")):
        return Prepared.open(directory)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(whole, "vocabulary.txt")
    if not os.path.exists(path):
        Vocabulary.build(corpus, min_count=min_count).save(path)
    vocabulary = Vocabulary.load(path)
    path = os.path.join(whole, "corpus.ids")
    try:
        encoded = EncodedCorpus.open(path)
    except ValueError:  # not there, or of another version
        encoded = encode_corpus(corpus, vocabulary, path)
    ids = np.array(encoded.ids)
    if words:
        ids = ids[: np.searchsorted(np.cumsum(ids >= 0), words) + 1]
        ids = ids if ids[-1] < 0 else np.append(ids, np.int32(-1))
    return write_prepared(directory, cut_lines(ids), vocabulary.terms, hold_out)


def prepare_zipf(work_dir: str, terms: int, words: int, seed: int = 0) -> Prepared:
    """Prepares random text: sentences of 10 to 40 words, Zipf's law, every one of `terms` terms occurs.

    Args:
        work_dir: Directory for all that is written.
        terms: Size of the vocabulary.
        words: Length; at least twice `terms`.
        seed: Of the order of words and the lengths of sentences.
    """
    if terms < 2 or words < 2 * terms:
        raise ValueError(f"`words` must be at least twice `terms`. Received: {terms=}, {words=}")
    directory = os.path.join(work_dir, f"zipf-{terms}-{words}-{seed}")
    if os.path.exists(os.path.join(directory, "prepared.json")):
        return Prepared.open(directory)
    os.makedirs(directory, exist_ok=True)
    shares = 1 / (np.arange(terms) + 2.7)
    # One occurrence for certain; the rest by the law, what rounding takes from one term given to the next.
    ends = np.round(np.cumsum(shares) / shares.sum() * (words - terms)).astype(np.int64)
    counts = 1 + np.diff(ends, prepend=0)
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.repeat(np.arange(terms, dtype=np.int32), counts))
    ends = np.cumsum(rng.integers(10, 41, words // 10 + 1))
    ends = np.append(ends[ends < words], words)
    ids = np.insert(order, ends, np.int32(-1))
    return write_prepared(directory, ids, [f"t{i}" for i in range(terms)], hold_out=False)


def write_prepared(directory: str, ids: np.ndarray, terms: list[str], hold_out: bool) -> Prepared:
    """Writes a prepared corpus.

    Args:
        directory: Where to.
        ids: int32 [T], ids and, behind each sentence, -1.
        terms: The terms of the ids.
        hold_out: As in `prepare`.
    """
    sentence = np.cumsum(ids < 0) - (ids < 0)  # of each position; a -1 belongs to the sentence before it
    out = sentence % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1 if hold_out else np.zeros(len(ids), bool)
    train, held_out = ids[~out], ids[out]
    counts = np.bincount(train[train >= 0], minlength=len(terms))
    kept = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    renumbered = np.full(len(terms) + 1, -2, np.int32)
    renumbered[kept] = np.arange(len(kept), dtype=np.int32)
    renumbered[-1] = -1  # the index of -1
    train, held_out = renumbered[train], renumbered[held_out]
    held_out = held_out[held_out != -2]
    vocabulary = Vocabulary([terms[i] for i in kept], counts[kept])
    vocabulary.save(os.path.join(directory, "vocabulary.txt"))
    for name, values in (("ids.npy", train), ("held_out.npy", held_out)):
        with atomic_write(os.path.join(directory, name)) as handle:
            np.save(handle, values)
    with atomic_write(os.path.join(directory, "text.txt")) as handle:
        words = np.array([term.encode("utf-8") + b" " for term in vocabulary.terms] + [b"\n"], object)
        for start in range(0, len(train), _BLOCK):
            text = b"".join(words[train[start : start + _BLOCK]].tolist())
            handle.write(text.replace(b" \n", b"\n"))
    prepared = {
        "words": int(np.count_nonzero(train >= 0)),
        "sentences": int(np.count_nonzero(train < 0)),
        "terms": len(vocabulary),
        "held_out_words": int(np.count_nonzero(held_out >= 0)),
    }
    with atomic_write(os.path.join(directory, "prepared.json")) as handle:
        handle.write(json.dumps(prepared).encode("utf-8"))
    return Prepared(directory, **prepared)


def tokenized_text(pattern: str, work_dir: str) -> tuple[str, int, int]:
    """Writes a corpus's words as text, all of them: what gensim and fastText ask their users to bring.

    Args:
        pattern: The corpus, as `devise_tf.text.Corpus` takes it.
        work_dir: Directory of the file.

    Returns:
        The file's path and its number of words and of lines.
    """
    corpus = Corpus(pattern)
    path = os.path.join(work_dir, f"tokenized-{_key(corpus.fingerprint())}.txt")
    if not os.path.exists(path + ".json"):
        os.makedirs(work_dir, exist_ok=True)
        words = lines = 0
        with atomic_write(path) as handle:
            for line in corpus.lines():
                result = tokenize(line)
                words += len(result)
                for start in range(0, len(result), LONGEST_LINE):
                    handle.write((" ".join(result[start : start + LONGEST_LINE]) + "\n").encode("utf-8"))
                    lines += 1
        with atomic_write(path + ".json") as handle:
            handle.write(json.dumps([words, lines]).encode("utf-8"))
    with open(path + ".json", encoding="utf-8") as file:
        return path, *json.load(file)


def cut_lines(ids: np.ndarray, longest: int = LONGEST_LINE) -> np.ndarray:
    """Puts a -1 behind every `longest` ids of a sentence.

    Args:
        ids: int32 [T], ids and, behind each sentence, -1.
        longest: Most ids of a sentence.
    """
    ends = np.flatnonzero(ids < 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    positions = np.arange(len(ids)) - np.repeat(starts, ends - starts + 1)
    return np.insert(ids, np.flatnonzero((positions > 0) & (positions % longest == 0) & (ids >= 0)), np.int32(-1))


def _key(*values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
