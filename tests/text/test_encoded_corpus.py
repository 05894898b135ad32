import gzip
import json
import lzma
import os
import random
import resource
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from devise_tf.text import Corpus, EncodedCorpus, Vocabulary, encode_corpus, tokenize
from devise_tf.text.term_matcher import TermMatcher

TEXT = "The snow leopard, a cat!\nunknown\n\nsnow leopard cub\nthe cat"


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus.txt").write_text(TEXT)
    return Corpus(str(tmp_path / "corpus.txt"))


@pytest.fixture
def vocabulary():
    return Vocabulary(["the", "cat", "snow_leopard", "leopard_cub", "cub"], [9, 8, 7, 6, 5])


def test_encoding(tmp_path, corpus, vocabulary):
    path = tmp_path / "corpus.ids"
    encoded = encode_corpus(corpus, vocabulary, path)
    assert encoded.ids.tolist() == [0, 2, 1, -1, 2, 4, -1, 0, 1, -1]
    assert path.read_bytes() == np.array([0, 2, 1, -1, 2, 4, -1, 0, 1, -1], "<i4").tobytes()
    assert (encoded.num_words, encoded.num_ids, encoded.num_sentences) == (11, 7, 3)
    assert isinstance(encoded.ids, np.memmap) and not encoded.ids.flags.writeable
    again = EncodedCorpus.open(path)
    assert again.ids.tolist() == encoded.ids.tolist() and again.num_words == 11
    assert sorted(os.listdir(tmp_path)) == ["corpus.ids", "corpus.ids.json", "corpus.txt"]


def test_counts_are_those_of_the_vocabulary(tmp_path):
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(list("abcdefg"), rng.integers(1, 20))) for _ in range(300)]
    (tmp_path / "corpus.txt").write_text("\n".join(lines))
    corpus = Corpus(str(tmp_path / "corpus.txt"))
    vocabulary = Vocabulary.build(corpus, min_count=40, label_terms=["a b", "b c d", "c d", "d d d d", "g"])
    encoded = encode_corpus(corpus, vocabulary, tmp_path / "corpus.ids")
    ids = encoded.ids[encoded.ids >= 0]
    np.testing.assert_array_equal(np.bincount(ids, minlength=len(vocabulary)), vocabulary.counts)
    assert encoded.num_ids == vocabulary.counts.sum() == len(ids)
    assert encoded.num_words == sum(len(line.split()) for line in lines)


def test_matches(tmp_path, corpus, vocabulary):
    encoded = encode_corpus(corpus, vocabulary, tmp_path / "corpus.ids")
    assert encoded.matches(corpus, vocabulary)
    assert not encoded.matches(corpus, Vocabulary(vocabulary.terms, vocabulary.counts + 1))
    (tmp_path / "corpus.txt").write_text(TEXT + " cub")
    assert not encoded.matches(corpus, vocabulary)


def test_open_trusts_only_complete_files(tmp_path, corpus, vocabulary):
    path = tmp_path / "corpus.ids"
    with pytest.raises(ValueError, match=r"encode it again. Received: path='.*corpus\.ids'"):
        EncodedCorpus.open(path)
    encode_corpus(corpus, vocabulary, path)
    data, sidecar = path.read_bytes(), path.with_name("corpus.ids.json")
    path.write_bytes(data[:-4])
    with pytest.raises(ValueError, match="36 bytes instead of 40"):
        EncodedCorpus.open(path)
    path.write_bytes(data)
    information = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(information | {"version": 0}))
    with pytest.raises(ValueError, match="version 0 instead of"):
        EncodedCorpus.open(path)
    for text in ["{", "{}", "[]"]:
        sidecar.write_text(text)
        with pytest.raises(ValueError, match="encode it again"):
            EncodedCorpus.open(path)
    sidecar.unlink()
    with pytest.raises(ValueError, match="encode it again"):
        EncodedCorpus.open(path)


@pytest.mark.parametrize("limit", [1 << 16, 400_100])
def test_full_disk_leaves_nothing_to_trust(tmp_path, corpus, vocabulary, limit):
    """A limit on file sizes stands for the full disk, once early and once at the last bytes."""
    path = tmp_path / "corpus.ids"
    encode_corpus(corpus, vocabulary, path)
    (tmp_path / "corpus.txt").write_text("the cat\n" * 33_345)
    corpus = Corpus(str(tmp_path / "corpus.txt"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match=r"while writing.*corpus\.ids"):
            encode_corpus(corpus, vocabulary, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(ValueError, match="encode it again"):
        EncodedCorpus.open(path)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_interrupted_encoding_leaves_nothing_to_trust(tmp_path, corpus, vocabulary):
    path = tmp_path / "corpus.ids"

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_corpus(corpus, vocabulary, path, progress=interrupt)
    assert os.listdir(tmp_path) == ["corpus.txt"]


def test_encoding_equals_tokenizer_and_matcher(tmp_path):
    """Lines, words and terms one after the other, over all kinds of files, in many blocks."""
    rng = random.Random(0)
    words = ["Snow", "leopard", "cub", "naïve", "ΑΣ'Α", "豹", "x" * 40, "a_b", "unknown", "...", "\x85", "\r"]
    lines = [" ".join(rng.choices(words, k=rng.randint(0, 12))) for _ in range(900)]
    parts = ["\n".join(lines[start : start + 300]).encode() for start in (0, 300, 600)]
    files = [parts[0], gzip.compress(parts[1]), lzma.compress(parts[2])]
    for name, data in zip(["a.txt", "b.gz", "c.xz"], files, strict=True):
        (tmp_path / name).write_bytes(data)
    corpus = Corpus(f"{tmp_path}/*")
    terms = ["snow_leopard", "leopard", "a_b", "naïve", "b", "x" * 40, "豹_豹_snow", "cub_a", "α"]
    encoded = encode_corpus(corpus, Vocabulary(terms, range(20, 11, -1)), tmp_path / "corpus.ids")
    matcher = TermMatcher(terms)
    expected = [[terms.index(term) for term in matcher(tokenize(line)) if term in terms] for line in lines]
    assert encoded.ids.tolist() == [i for line in expected if line for i in [*line, -1]]
    assert encoded.num_words == sum(len(tokenize(line)) for line in lines)
    assert encoded.num_sentences == sum(1 for line in expected if line)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_truncated_file_leaves_nothing(tmp_path, vocabulary, compress):
    (tmp_path / "a.txt").write_text(TEXT)
    data = compress("\n".join(f"the cat {i}" for i in range(200_000)).encode())
    (tmp_path / "b").write_bytes(data[:-100])
    corpus = Corpus(f"{tmp_path}/?,{tmp_path}/*.txt")
    for read in (Vocabulary.build, lambda text: encode_corpus(text, vocabulary, tmp_path / "corpus.ids")):
        with pytest.raises(ValueError, match=rf"damaged or truncated.*Received: {tmp_path / 'b'}"):
            read(corpus)
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b"]


def test_file_that_cannot_be_read_is_named(tmp_path, vocabulary, corpus):
    (tmp_path / "corpus.txt").unlink()
    with pytest.raises(OSError, match=r"corpus\.txt"):
        encode_corpus(corpus, vocabulary, tmp_path / "corpus.ids")
    assert os.listdir(tmp_path) == []


def test_text_that_changes_between_counting_and_encoding(tmp_path, corpus):
    vocabulary = Vocabulary.build(corpus, min_count=1)
    (tmp_path / "corpus.txt").write_text(TEXT + " cub")
    with pytest.raises(ValueError, match="text has changed since it was opened.*Received"):
        encode_corpus(corpus, vocabulary, tmp_path / "corpus.ids")
    assert os.listdir(tmp_path) == ["corpus.txt"]


def test_killed_while_encoding(tmp_path):
    """What is left behind is not trusted, and does not hinder the next run."""
    (tmp_path / "corpus.txt").write_text("the cat\n" * 1_000_000)
    code = """
import os, signal, sys
from devise_tf.text import Corpus, Vocabulary, encode_corpus
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
encode_corpus(Corpus(sys.argv[1]), Vocabulary(["the", "cat"], [2, 1]), sys.argv[2], progress=kill)
"""
    path = tmp_path / "corpus.ids"
    command = [sys.executable, "-c", code, tmp_path / "corpus.txt", path]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not path.exists()
    with pytest.raises(ValueError, match="encode it again"):
        EncodedCorpus.open(path)
    corpus, vocabulary = Corpus(str(tmp_path / "corpus.txt")), Vocabulary(["the", "cat"], [2, 1])
    assert encode_corpus(corpus, vocabulary, path).num_ids == 2_000_000


def test_endless_line_takes_little_memory(tmp_path):
    (tmp_path / "corpus.txt").write_text(" ".join(f"word{i % 5000}" for i in range(2_000_000)))
    corpus = Corpus(str(tmp_path / "corpus.txt"))
    tracemalloc.start()
    vocabulary = Vocabulary.build(corpus, min_count=1)
    encoded = encode_corpus(corpus, vocabulary, tmp_path / "corpus.ids")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert corpus.size_bytes > 15 << 20 and peak < 64 << 20
    assert encoded.num_ids == encoded.num_words == vocabulary.counts.sum() == 2_000_000
    assert encoded.num_sentences == -(-corpus.size_bytes // (1 << 20))


def test_endless_word_takes_little_memory(tmp_path):
    """Each piece is a word of 1 MiB that occurs once; together they are more than the text of 200,000 words."""
    (tmp_path / "corpus.txt").write_text("the cat " + "x".join(map(str, range(6_000_000))))
    corpus = Corpus(str(tmp_path / "corpus.txt"))
    tracemalloc.start()
    vocabulary = Vocabulary.build(corpus, min_count=2, label_terms=["the", "cat"], max_entries=200_000)
    peak = tracemalloc.get_traced_memory()[1]
    with pytest.raises(ValueError, match="occur at least 2 times; the most frequent is") as error:
        Vocabulary.build(corpus, min_count=2, max_entries=200_000)
    tracemalloc.stop()
    assert len(str(error.value)) < 1000
    assert corpus.size_bytes > 40 << 20 and peak < 30 << 20
    assert vocabulary.terms == ["cat", "the"]


def test_no_known_term(tmp_path, corpus):
    with pytest.raises(ValueError, match="None of the 2 terms.*Received: corpus="):
        encode_corpus(corpus, Vocabulary(["x", "y"], [2, 1]), tmp_path / "corpus.ids")
    assert os.listdir(tmp_path) == ["corpus.txt"]
