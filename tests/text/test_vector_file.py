import gzip
import re
import struct

import numpy as np
import pytest

from devise_tf.text import load_vectors, save_vectors
from devise_tf.text.vector_file import load_terms

FORMS = ["word2vec_text", "word2vec_binary", "glove"]
TERMS = ["the", "snow_leopard", "été", "豹", "2", "-1.5", "</s>"]


@pytest.fixture
def vectors():
    values = np.random.default_rng(0).normal(size=(len(TERMS), 5)).astype(np.float32)
    values[0] = [0, -0.0, 1e-38, 3.4e38, 1 / 3]
    # Its bytes are spaces and line ends.
    values[1, :2] = np.frombuffer(b"    \n\n\n\n", "<f4")
    return values


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_round_trip_is_exact(tmp_path, vectors, form, guess, compressed):
    path = tmp_path / "vectors"
    save_vectors(path, TERMS, vectors, form=form)
    if compressed:
        path = tmp_path / "vectors.gz"
        path.write_bytes(gzip.compress((tmp_path / "vectors").read_bytes()))
    terms, loaded = load_vectors(path, form=None if guess else form)
    assert terms == TERMS
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, vectors)


@pytest.mark.parametrize("form", FORMS)
def test_many_rows_and_blocks(tmp_path, monkeypatch, form):
    monkeypatch.setattr("devise_tf.text.vector_forms.BLOCK_BYTES", 100)
    vectors = np.random.default_rng(0).normal(size=(3000, 7)).astype(np.float32)
    terms = [f"term{i}" for i in range(3000)]
    save_vectors(tmp_path / "vectors", terms, vectors, form)
    loaded = load_vectors(tmp_path / "vectors")
    assert loaded[0] == terms
    np.testing.assert_array_equal(loaded[1], vectors)


@pytest.mark.parametrize("form", FORMS)
def test_only_some_terms(tmp_path, vectors, form):
    save_vectors(tmp_path / "vectors", TERMS, vectors, form)
    terms, loaded = load_vectors(tmp_path / "vectors", terms=["豹", "missing", "snow_leopard"])
    assert terms == ["snow_leopard", "豹"]
    np.testing.assert_array_equal(loaded, vectors[[1, 3]])
    terms, loaded = load_vectors(tmp_path / "vectors", terms=[])
    assert terms == [] and loaded.shape == (0, 5)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_reads_ours(tmp_path, vectors, binary):
    from gensim.models import KeyedVectors

    path = str(tmp_path / "vectors")
    save_vectors(path, TERMS, vectors, "word2vec_binary" if binary else "word2vec_text")
    loaded = KeyedVectors.load_word2vec_format(path, binary=binary)
    assert loaded.index_to_key == TERMS
    np.testing.assert_array_equal(loaded.vectors, vectors)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_writes_ours(tmp_path, vectors, binary):
    from gensim.models import KeyedVectors

    path = str(tmp_path / "vectors")
    theirs = KeyedVectors(vectors.shape[1])
    theirs.add_vectors(TERMS, vectors)
    theirs.save_word2vec_format(path, binary=binary, sort_attr=None)
    terms, loaded = load_vectors(path)
    assert terms == theirs.index_to_key and set(terms) == set(TERMS)
    np.testing.assert_array_equal(loaded, theirs.vectors)


def test_gensim_reads_our_glove(tmp_path, vectors):
    from gensim.models import KeyedVectors

    path = tmp_path / "vectors"
    save_vectors(path, TERMS, vectors, "glove")
    # gensim's `no_header=True` leaves the file open, so give it the line that GloVe files lack.
    path.write_bytes(b"%d %d\n" % vectors.shape + path.read_bytes())
    loaded = KeyedVectors.load_word2vec_format(str(path), binary=False)
    assert loaded.index_to_key == TERMS
    np.testing.assert_array_equal(loaded.vectors, vectors)


def test_files_of_other_writers(tmp_path):
    def load(data, form=None):
        (tmp_path / "vectors").write_bytes(data)
        terms, vectors = load_vectors(tmp_path / "vectors", form)
        return terms, vectors.tolist()

    expected = (["a", "b"], [[1, 2], [3, -4]])
    assert load(b"2 2\r\na 1 2 \r\nb 3 -4e0 ") == expected  # A space behind each value, as word2vec writes it.
    assert load(b"\xef\xbb\xbfa\t1\t2\nb\t3\t-4\n\n") == expected
    assert load(b"2 2\na " + struct.pack("<2f", 1, 2) + b"b " + struct.pack("<2f", 3, -4)) == expected
    assert load(b"a 1 2\n. . . 3 4\n") == (["a", "._._."], [[1, 2], [3, 4]])
    assert load(b"7 1\n8 2\n", "glove") == (["7", "8"], [[1], [2]])
    assert load("a 1 2\nb\u00a0c 3 4\n".encode()) == (["a", "b_c"], [[1, 2], [3, 4]])
    assert load(b". 1 2\n. . . 3 4\n", "glove") == ([".", "._._."], [[1, 2], [3, 4]])


def test_repeated_terms(tmp_path):
    (tmp_path / "vectors").write_text("4 1\na 1\nb 2\na 3\na 4\n")
    with pytest.warns(UserWarning, match="2 repeated terms in .*vectors"):
        terms, vectors = load_vectors(tmp_path / "vectors")
    assert terms == ["a", "b"] and vectors.tolist() == [[1], [2]]


ROW = struct.pack("<2f", 1, 2)


@pytest.mark.parametrize(
    ("data", "form", "message"),
    [
        (b"a 1 2\nb 3\n", None, "line 2 holds 1 values instead of 2"),
        (b"a 1 2\nb 3 4 5\nc 5 6\n", None, "line 2 holds 3 values instead of 2"),
        (b"2 2\na 1 2\nb 3", None, "line 3 holds 1 values instead of 2.*truncated"),
        (b"2 2\na 1\nb 3 4\n", None, "line 2 holds 1 values instead of 2"),
        (b"3 2\na 1 2\nb 3 4\n", None, "line 1 says 3 vectors, but there are 2"),
        (b"1 2\na 1 2\nb 3 4\n", None, "line 1 says 1 vectors, but there are 2"),
        (b"99999999999999 2\na 1 2\n", None, "line 1 says 99999999999999 vectors, but there are 1"),
        (b"a 1 2\nb 3 x\n", None, "line 2, the vector of 'b', holds something that is not a number"),
        (b"a 1 2\nb 3 nan\n", None, "line 2, the vector of 'b', holds values that are not finite"),
        (b"a 1 2\nb 3 1e99\n", None, "line 2, the vector of 'b', holds values that are not finite"),
        (b"a 1 2\n\xe9 3 4\n", None, "term of line 2 is not UTF-8"),
        (b"a 1 2\n", "word2vec_text", "line 1 must hold the number of vectors and their dimension"),
        (b"", None, "the file is empty"),
        (b"word\n", None, "line 1 holds no vector"),
        (b"a 1 2 x\nb 1 2 3\n", None, "line 1 holds no vector"),
        (b"a,1,2\nb,3,4\n", None, "line 1 holds no vector.*put spaces in their place"),
        (b"\x00\x01word\n", None, "line 1 holds no vector.*a binary file of a kind that is not known"),
        (b"\n\x00\x00\x00\x05\x00\x00\x00", None, "line 1 holds no vector.*such as fastText's before 2017"),
        (b"2 2\na " + ROW + b"\nb " + ROW[:-1], "word2vec_binary", "row 2 is incomplete.*truncated"),
        (b"2 2\na " + ROW + b"\nb", "word2vec_binary", "row 2 is incomplete"),
        (b"3 2\na " + ROW + b"\nb " + ROW + b"\n", None, "line 1 says 3 vectors, but there are 2"),
        (b"2 2\na " + ROW + b"\n\xe9 " + ROW + b"\n", None, "term of row 2 is not UTF-8"),
        (b"1 2\na " + ROW + b"x" * 100_000, "word2vec_binary", "row 2 does not begin with a term"),
        (gzip.compress(b"a 1 2\n" * 9, mtime=0)[:-9], None, "Cannot load vectors: "),
        # What the first line says must not lead to an allocation or an endless read.
        (b"3 1000000\na 1 2\n", None, "the dimension is 1000000, so a row needs 2000002 bytes .* the file has 16"),
        (b"1 99999999999\na " + ROW, None, "dimension of 99999999999 is beyond"),
        (gzip.compress(b"1 99999999999\na " + ROW, mtime=0), None, "dimension of 99999999999 is beyond"),
        (gzip.compress(b"3 1000000\na 1 2\n", mtime=0), None, "line 2 holds 2 values instead of 1000000"),
        (b"999999999999 2\na " + ROW + b"\nb " + ROW[:-1], "word2vec_binary", "row 2 is incomplete"),
        (b"a 1 2\n" + b"1" * 100_000, None, "line 2 is longer than a vector of 2 values can be"),
    ],
)
def test_load_errors(tmp_path, data, form, message):
    path = tmp_path / "vectors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"(?s){message}.*Received: path='{path}'"):
        load_vectors(path, form, max_bad_rows=0)


@pytest.mark.parametrize(
    ("data", "terms", "rest"),
    [
        # White space of Unicode, as in GloVe's files of tweets and of the web; a byte-order mark.
        ("a 1 2\n\x85 3 4\n\u2028\u00a0 3 4\nb 5 6\n".encode(), ["a", "b"], "2 bad rows: the term of line 2 is no"),
        ("a 1 2\n\ufeffa 3 4\nb 5 6\n".encode(), ["a", "b"], "1 bad row: the term of line 2 begins with a byte-order"),
        (b"a 1 2\n 3 4\nb 5 6\n", ["a", "b"], "1 bad row: line 2 holds 1 values instead of 2"),
        # A term that was cut within a character.
        (b"3 2\na 1 2\n\xe8\xb1 3 4\nb 5 6\n", ["a", "b"], "1 bad row: the term of line 3 is not UTF-8"),
        (b"2 2\n\xe8\xb1 %b\nb %b\n" % (b"\0\0\x80?" * 2, b"\0\0\x80?" * 2), ["b"], "the term of row 1 is not UTF-8"),
        (b"1 2\nb %b\n" % (b"\0\0\x80?" * 2), ["b"], ""),
        (b"a 1 2\nc 3\nd 3 4 5\ne 1 x\nf 1 nan\ng 1 1e99\nb 5 6\n", ["a", "b"], r"5 bad rows: .*'g', holds values"),
        # A first line that says another number than there are.
        (b"3 2\na 1 2\nb 5 6\n", ["a", "b"], "1 bad row: line 1 says 3 vectors, but there are 2"),
        (b"9 2\na 1 2\nb 5 6\n", ["a", "b"], "7 bad rows: line 1 says 9 vectors, but there are 2.$"),
        (b"1 2\r\na 1 2\r\nb 5 6\r\n", ["a", "b"], "1 bad row: line 1 says 1 vectors, but there are 2"),
    ],
)
def test_bad_rows_are_left_out_and_named(tmp_path, recwarn, data, terms, rest):
    path = tmp_path / "vectors"
    path.write_bytes(data)
    assert load_vectors(path)[0] == terms
    warned = [str(w.message) for w in recwarn]
    assert len(warned) == bool(rest) and all(re.match(f"Not all of '{path}' can be read, .*{rest}", w) for w in warned)
    number = int(re.search(r"(\d+) bad", warned[0])[1]) if rest else 0
    assert load_vectors(path, max_bad_rows=number)[0] == terms
    if number:
        with pytest.raises(ValueError, match=f"so far: {number}, of which `max_bad_rows` allows {number - 1}"):
            load_vectors(path, max_bad_rows=number - 1)


def test_a_file_without_a_good_row_is_refused(tmp_path):
    (tmp_path / "vectors").write_bytes(b"2 3\na 1 2\nb 3 4\n")
    with pytest.raises(
        ValueError, match=r"no row can be read, 2 bad rows: line 2 holds 2 values instead of 3: b'a 1 2"
    ):
        load_vectors(tmp_path / "vectors")
    with pytest.raises(ValueError, match="Received: max_bad_rows=-1"):
        load_vectors(tmp_path / "vectors", max_bad_rows=-1)


@pytest.mark.parametrize("data", [b"3 2\na 1 2\nb 3 4", b"a 1 2\nb 3", b"2 2\na " + ROW + b"\nb " + ROW[:-1]])
def test_a_file_whose_end_is_missing_is_refused(tmp_path, data):
    (tmp_path / "vectors").write_bytes(data)
    with pytest.raises(ValueError, match="is the file truncated"):
        load_vectors(tmp_path / "vectors")


@pytest.mark.parametrize(
    ("terms", "vectors", "form", "message"),
    [
        (["a", "b"], np.eye(3), "glove", r"2 terms, vectors of shape \(3, 3\)"),
        (["a", "b"], np.ones(2), "glove", "must have the shape"),
        (["a"], np.ones((1, 0)), "glove", "must have the shape"),
        (["a", "a"], np.eye(2), "glove", "1 of them different"),
        (["a", "b c"], np.eye(2), "glove", "white space. Received: 'b c'"),
        (["a", "b"], np.diag([1, np.nan]), "glove", "vector of 'b'"),
        (["a", "b"], np.eye(2), "text", "Received: form='text'"),
    ],
)
def test_save_errors_leave_no_file(tmp_path, terms, vectors, form, message):
    with pytest.raises(ValueError, match=message):
        save_vectors(tmp_path / "vectors", terms, vectors, form)
    assert list(tmp_path.iterdir()) == []


def test_unknown_form(tmp_path):
    with pytest.raises(ValueError, match="Received: form='text'"):
        load_vectors(tmp_path / "vectors", form="text")


def test_progress(tmp_path, vectors):
    save_vectors(tmp_path / "vectors", TERMS, vectors)
    size, calls = (tmp_path / "vectors").stat().st_size, []
    load_vectors(tmp_path / "vectors", progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (size, size) and all(0 <= done <= total == size for done, total in calls)


@pytest.mark.parametrize("form", FORMS)
def test_load_terms(tmp_path, vectors, form):
    save_vectors(tmp_path / "vectors", TERMS, vectors, form)
    assert load_terms(tmp_path / "vectors") == TERMS
    (tmp_path / "vectors").write_text("3 1\na 1\nb 2\na 3\n")
    assert load_terms(tmp_path / "vectors") == ["a", "b"]


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: '.*nothing.bin'"):
        load_vectors(tmp_path / "nothing.bin")


@pytest.mark.parametrize("start", [b"\n", b"1\n", b" 2\n", b"-\n.\n"])
def test_a_binary_value_may_begin_like_a_line_of_text(tmp_path, start):
    """The form is guessed from the first row, whose bytes may hold the end of a line."""
    first = np.frombuffer((start + b"\x40\x41\x42\x43")[:4] + np.arange(1, 8, dtype=np.float32).tobytes(), np.float32)
    vectors = np.stack([first, np.ones(8, np.float32)])
    path = tmp_path / "vectors.bin"
    save_vectors(path, ["cat", "dog"], vectors, "word2vec_binary")
    terms, values = load_vectors(path)
    assert terms == ["cat", "dog"]
    np.testing.assert_array_equal(values, vectors)
