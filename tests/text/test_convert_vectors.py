import gzip
import struct

import numpy as np
import pytest

from devise_tf.labels import LabelSet, WordSpace
from devise_tf.text import load_vectors, save_vectors
from devise_tf.text.convert_vectors import convert_vectors, form_of, needed_terms
from devise_tf.text.npz_vectors import load_npz

FORMS = ["word2vec_text", "word2vec_binary", "glove", "npz"]
TERMS = ["the", "cat", "snow", "leopard", "red", "fox", "felis", "of"]
VECTORS = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("target", FORMS)
@pytest.mark.parametrize("source", FORMS)
def test_every_form_to_every_other(tmp_path, source, target):
    save_vectors(tmp_path / "in", TERMS, VECTORS, source)
    assert convert_vectors(tmp_path / "in", tmp_path / "out", target) == (8, 5)
    terms, vectors = load_vectors(tmp_path / "out", target)
    assert terms == TERMS
    np.testing.assert_array_equal(vectors, VECTORS)


@pytest.mark.parametrize("target", FORMS)
def test_chosen_terms_are_written_in_their_order(tmp_path, target):
    save_vectors(tmp_path / "in", TERMS, VECTORS, "glove")
    counts = {term: 100 - i for i, term in enumerate(TERMS)}
    assert convert_vectors(tmp_path / "in", tmp_path / "out", target, ["fox", "cat"], counts) == (2, 5)
    terms, vectors = load_vectors(tmp_path / "out", target)
    assert terms == ["fox", "cat"]
    np.testing.assert_array_equal(vectors, VECTORS[[5, 1]])
    if target == "npz":
        assert load_npz(tmp_path / "out")[2].tolist() == [95, 99]
    with pytest.raises(ValueError, match=r"1 of 2 terms are not in .*in'. Received: \['dog'\]"):
        convert_vectors(tmp_path / "in", tmp_path / "out", target, ["dog", "cat"])


@pytest.mark.parametrize("target", ["word2vec_binary", "npz"])
def test_repeated_and_blank_terms_of_published_files_are_ignored(tmp_path, target):
    path = tmp_path / "in.gz"
    path.write_bytes(gzip.compress("a 1 2\n\xa0 3 4\nb 5 6\na 7 8\n".encode()))
    with pytest.warns(UserWarning) as warned:
        assert convert_vectors(path, tmp_path / "out", target) == (2, 2)
    assert ["1 repeated terms" in str(w.message) for w in warned] == [True, False]
    assert "1 bad row: the term of line 2 is nothing but white space" in str(warned[1].message)
    terms, vectors = load_vectors(tmp_path / "out")
    assert terms == ["a", "b"] and vectors.tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize("target", ["word2vec_text", "npz"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"2 2\na " + struct.pack("<2f", 1, 2) + b"\nb " + b"\x00\x00\x80", "row 2 is incomplete"),
        (b"2 2\na 1 2\nb 3", "line 3 holds 1 values instead of 2"),
        (b"a 3 nan\n", "line 1, the vector of 'a'"),
        (b"\xc2\xa0 1 2\n", "no row can be read, 1 bad row: the term of line 1 is nothing but white space"),
        (b"", "the file is empty"),
    ],
)
def test_bad_sources_leave_no_file(tmp_path, data, message, target):
    (tmp_path / "in").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        convert_vectors(tmp_path / "in", tmp_path / "out", target)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("target", FORMS)
def test_rows_that_cannot_be_read_are_not_written(tmp_path, target):
    (tmp_path / "in").write_bytes(b"4 2\na 1 2\nb 3 nan\nc 5 6\nd 7\n")
    for terms in (None, ["a", "b", "c"]):
        with pytest.warns(UserWarning, match="line 3, the vector of 'b', holds values"):
            assert convert_vectors(tmp_path / "in", tmp_path / "out", target, terms) == (2, 2)
        written, vectors = load_vectors(tmp_path / "out", target, max_bad_rows=0)
        assert written == ["a", "c"] and vectors.tolist() == [[1, 2], [5, 6]]
    with pytest.raises(ValueError, match="`max_bad_rows` allows 1"):
        convert_vectors(tmp_path / "in", tmp_path / "out", target, max_bad_rows=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_needed_terms():
    names = [["snow_leopard", "leopard"], ["red_fox", "fox"], ["okapi"], ["red_cat", "great_okapi"]]
    # What label vectors are made of, then what the other terms are.
    expected = ["leopard", "fox", "red", "cat", "snow"]
    assert needed_terms(names, TERMS) == expected
    assert needed_terms(names, TERMS, limit=2) == expected[:2]
    assert needed_terms(names, TERMS, limit=7) == [*expected, "the", "felis"]  # The most frequent of the others.
    assert needed_terms([], TERMS, limit=3) == TERMS[:3]
    with pytest.raises(ValueError, match="Received: limit=0"):
        needed_terms(names, TERMS, 0)


def test_label_vectors_are_the_same_from_needed_terms():
    labels = LabelSet(["a", "b", "c", "d"], [["snow leopard", "leopard"], ["red fox"], ["okapi"], ["cat red", "felis"]])
    chosen = needed_terms(labels.normalized_terms(), TERMS)
    whole = WordSpace(TERMS, VECTORS, missing="drop").table(labels)
    part = WordSpace(chosen, VECTORS[[TERMS.index(term) for term in chosen]], missing="drop").table(labels)
    assert (whole.ids, whole.composed) == (part.ids, part.composed)
    np.testing.assert_array_equal(whole.values, part.values)


def test_form_of():
    assert [form_of(f"a{s}") for s in (".bin", ".txt", ".vec", ".glove", ".npz")] == [
        "word2vec_binary", "word2vec_text", "word2vec_text", "glove", "npz",
    ]  # fmt: skip
    assert form_of("a.txt", "glove") == form_of("a", "glove") == "glove"
    for path, form in (("a", None), ("a.gz", None), ("a.txt.gz", "glove"), ("a.txt", "text")):
        with pytest.raises(ValueError, match="Received: "):
            form_of(path, form)
