import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest

from devise_tf.text import load_vectors
from devise_tf.text.convert_vectors import convert_vectors
from devise_tf.text.fasttext_bin import ngram_hashes
from devise_tf.text.vector_file import load_terms
from tests.helpers.fasttext_file import fasttext_file, fasttext_vectors

WORDS = ["</s>", "the", "Schnee", "豹", "a", "été", "</s", "leopard"]
BUCKETS = 13
MATRIX = np.random.default_rng(0).normal(size=(len(WORDS) + BUCKETS, 5)).astype(np.float32)
EXPECTED = fasttext_vectors(WORDS, MATRIX, BUCKETS)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "model.bin").write_bytes(fasttext_file(WORDS, MATRIX, BUCKETS))
    return tmp_path / "model.bin"


def test_words_and_vectors_are_those_of_fasttext(path):
    terms, vectors = load_vectors(path)
    assert terms == load_terms(path) == WORDS and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, EXPECTED, atol=1e-6)


def test_only_some_words(path):
    terms, vectors = load_vectors(path, terms=["leopard", "missing", "豹"])
    assert terms == ["豹", "leopard"]
    np.testing.assert_allclose(vectors, EXPECTED[[3, 7]], atol=1e-6)
    assert load_vectors(path, terms=[])[1].shape == (0, 5)


def test_blocks_of_any_size_and_compressed_files_give_the_same(path, monkeypatch):
    expected = load_vectors(path)[1]
    path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
    for size in (1, 17, 100):
        monkeypatch.setattr("devise_tf.text.fasttext_bin._BLOCK_BYTES", size)
        monkeypatch.setattr("devise_tf.text.fasttext_bin._WORDS_AT_ONCE", 3)
        terms, vectors = load_vectors(path.with_suffix(".gz"))
        assert terms == WORDS
        np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.parametrize(("minn", "maxn", "buckets"), [(3, 6, 50), (1, 2, 7), (5, 5, 2000), (0, 0, 0)])
def test_vectors_are_those_that_gensim_reads(tmp_path, minn, maxn, buckets):
    from gensim.models import FastText
    from gensim.models.fasttext import load_facebook_vectors, save_facebook_model

    text = [["snow", "leopard", "été", "豹", "ä"], ["snow", "cat", "leoparden", "x"]] * 5
    model = FastText(text, vector_size=8, min_count=1, min_n=minn, max_n=maxn, bucket=buckets or 1, epochs=2, workers=1)
    path = str(tmp_path / "model.bin")
    save_facebook_model(model, path)
    reference = load_facebook_vectors(path)
    terms, vectors = load_vectors(path)
    assert terms == reference.index_to_key
    np.testing.assert_allclose(vectors, reference.vectors, atol=1e-6)


def test_a_model_of_fasttext_itself_has_the_vectors_of_its_vec_file():
    from gensim.test.utils import datapath

    terms, vectors = load_vectors(datapath("crime-and-punishment.bin"))
    expected = dict(zip(*load_vectors(datapath("crime-and-punishment.vec")), strict=True))
    assert "</s>" in terms and terms == list(expected)
    # The text has five digits.
    np.testing.assert_allclose(vectors, list(expected.values()), rtol=1e-4, atol=1e-5)


def test_hashes_of_ngrams():
    words, hashes = ngram_hashes([b"a", "é".encode()], 3, 3)
    assert words.tolist() == [0, 1]

    def fnv(data):
        value = 2166136261
        for byte in data:
            value = ((value ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * 16777619) % 2**32
        return value

    assert hashes.tolist() == [fnv(b"<a>"), fnv("<é>".encode())]


def test_it_converts(path, tmp_path):
    assert convert_vectors(path, tmp_path / "out.vec") == (8, 5)
    terms, vectors = load_vectors(tmp_path / "out.vec")
    assert terms == WORDS
    np.testing.assert_array_equal(vectors, load_vectors(path)[1])


def test_a_word_that_is_no_term_is_left_out(tmp_path):
    data = fasttext_file(WORDS, MATRIX, BUCKETS).replace("豹".encode() + b"\0", b"\xe8\xb1\xff\0")
    (tmp_path / "model.bin").write_bytes(data)
    for terms in (None, ["the", "leopard"]):
        with pytest.warns(UserWarning, match="1 bad row: the term of row 4 is not UTF-8"):
            assert "leopard" in load_vectors(tmp_path / "model.bin", terms=terms)[0]


WHOLE = fasttext_file(WORDS, MATRIX, BUCKETS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (fasttext_file(WORDS, MATRIX, BUCKETS, kind=3), "a supervised model of fastText, a classifier"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, labels=2), "a supervised model of fastText"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, quantized=True), "a quantized model of fastText"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, version=13), "version 13 of fastText's models is not known"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, dimension=0), "it says dimension 0"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, dimension=2**30), "it says dimension 1073741824"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, count=-1), "it says -1 words"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, rows=7), "8 words, 13 buckets and dimension 5, but a matrix of 7 x 5"),
        (fasttext_file(WORDS, MATRIX, BUCKETS, count=2**31 - 1), "word .* of 2147483647 is incomplete"),
        (fasttext_file(WORDS, MATRIX, 10**9, rows=10**9 + 8), "needs 20000000160 bytes, but the file has"),
        (WHOLE[:40], "the model ends too early; is the file truncated"),
        (WHOLE[:150], "word 5 of 8 is incomplete; is the file truncated"),
        (WHOLE[:280], "the model's matrix needs 420 bytes, but the file has 280"),
        (WHOLE[:-100], "the model ends too early; is the file truncated"),
        (b"\xbb" + WHOLE[1:], "line 1 holds no vector.*a binary file of a kind that is not known"),
    ],
)
def test_other_models_and_damaged_ones_are_refused(tmp_path, data, message):
    for name, content in (("model.bin", data), ("model.bin.gz", gzip.compress(data, 1))):
        path = tmp_path / name
        path.write_bytes(content)
        expected = "ends too early" if "needs" in message and name.endswith("gz") else message
        tracemalloc.start()
        with pytest.raises(ValueError, match=rf"(?s)Cannot load vectors: .*{expected}.*Received: path='{path}'"):
            load_vectors(path)
        assert tracemalloc.get_traced_memory()[1] < 80e6
        tracemalloc.stop()


def test_sizes_of_a_matrix_beyond_the_file_allocate_nothing(tmp_path):
    """The dimension is large and the buckets are many, and the file says so in all places."""
    data = bytearray(fasttext_file(["a"], np.zeros((1, 1), np.float32), 2**31 - 1, rows=2**31, columns=2**20))
    data[8:12] = struct.pack("<i", 2**20)
    path = tmp_path / "model.bin"
    path.write_bytes(gzip.compress(bytes(data)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="the model ends too early"):
        load_vectors(path)
    assert tracemalloc.get_traced_memory()[1] < 80e6 and os.path.getsize(path) < 1000
    tracemalloc.stop()
