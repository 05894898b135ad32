import io
import zipfile

import numpy as np
import pytest

from devise_tf.packaged import packaged_files
from devise_tf.text import load_vectors, save_vectors
from devise_tf.text.npz_vectors import load_npz, save_npz
from devise_tf.text.vector_source import find_vectors

TERMS = ["the", "snow_leopard", "été", "豹"]
VECTORS = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A package whose `skip_gram` folder holds vectors."""
    (tmp_path / "models" / "skip_gram").mkdir(parents=True)
    monkeypatch.setattr("devise_tf.packaged.models_folder", lambda: tmp_path / "models")
    save_npz(tmp_path / "models" / "skip_gram" / "small.npz", TERMS, VECTORS)
    return tmp_path


@pytest.mark.parametrize("counts", [None, [9, 7, 3, 1]])
def test_round_trip(tmp_path, counts):
    save_npz(tmp_path / "a.npz", TERMS, VECTORS, counts)
    terms, vectors, result = load_npz(tmp_path / "a.npz")
    assert terms == TERMS and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(vectors, VECTORS, rtol=2**-11)
    assert result is None if counts is None else result.tolist() == counts
    save_npz(tmp_path / "b.npz", TERMS, VECTORS, counts)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert np.load(tmp_path / "a.npz", allow_pickle=False)["vectors"].dtype == np.float16


def test_whole_numbers(tmp_path):
    """Each value is the nearest of 255 from the row's largest to its negative."""
    vectors = np.concatenate([VECTORS, [np.zeros(5), np.full(5, 1e-30), [1e30, -1e30, 5e29, 0, 1]]]).astype(np.float32)
    terms = [*TERMS, "zero", "small", "large"]
    save_npz(tmp_path / "a.npz", terms, vectors, np.arange(7), int8=True)
    read_terms, read, counts = load_npz(tmp_path / "a.npz")
    assert read_terms == terms and counts.tolist() == list(range(7)) and read.dtype == np.float32
    steps = np.abs(vectors).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(read - vectors) <= 0.5001 * steps)
    np.testing.assert_allclose(np.abs(read).max(axis=1), np.abs(vectors).max(axis=1), rtol=1e-6)
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert file.getinfo("vectors.npy").file_size < 7 * 5 + 200
    save_npz(tmp_path / "b.npz", terms, vectors, np.arange(7), int8=True)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    for bad in (np.inf, np.nan):
        with pytest.raises(ValueError, match="must be finite.*'the'"):
            save_npz(tmp_path / "c.npz", TERMS, np.vstack([np.full(5, bad), VECTORS[1:]]), int8=True)


def test_file_is_compressed_where_that_saves_a_tenth(tmp_path):
    kinds = []
    for values in (np.zeros((4, 500)) + 1, np.random.default_rng(0).uniform(-1, 1, (4, 500))):
        save_npz(tmp_path / "a.npz", TERMS, values)
        kinds.append(zipfile.ZipFile(tmp_path / "a.npz").getinfo("vectors.npy").compress_type)
    assert kinds == [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]


def test_load_vectors_reads_it_by_file_and_by_name(packaged, monkeypatch):
    monkeypatch.chdir(packaged)
    assert list(packaged_files("vectors")) == ["small"]
    terms, vectors = load_vectors("small")
    assert terms == TERMS and vectors.shape == (4, 5)
    terms, vectors = load_vectors(packaged / "models" / "skip_gram" / "small.npz", terms=["豹"])
    assert terms == ["豹"] and vectors.shape == (1, 5)
    save_vectors(packaged / "small", ["x"], [[1.0]], "glove")  # A file of the same name goes before.
    assert load_vectors("small")[0] == ["x"]
    with pytest.raises(FileNotFoundError, match="which has small. Received: 'smal'"):
        find_vectors("smal")


def test_save_vectors_writes_it(tmp_path):
    save_vectors(tmp_path / "a", TERMS, VECTORS, "npz")
    assert load_vectors(tmp_path / "a")[0] == load_vectors(tmp_path / "a", "npz")[0] == TERMS


@pytest.mark.parametrize(
    ("vectors", "counts", "message"),
    [
        (np.full((4, 5), 7e4), None, "at most 65504.*'the'"),
        (np.vstack([VECTORS[:3], np.full(5, 1e-9)]), None, "forgets those below.*'豹'"),
        (VECTORS[:3], None, "must have the shape"),
        (VECTORS, [1, 2], "one count a term"),
    ],
)
def test_save_errors_leave_no_file(tmp_path, vectors, counts, message):
    with pytest.raises(ValueError, match=message):
        save_npz(tmp_path / "a.npz", TERMS, vectors, counts)
    assert list(tmp_path.iterdir()) == []


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **arrays)
    return file.getvalue()


def header(shape, data=b""):
    """An archive whose `vectors` say that they have a shape that their data has not."""
    file, member = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f2", "fortran_order": False, "shape": shape})
    terms = io.BytesIO()
    np.save(terms, np.frombuffer(b"a", np.uint8))
    with zipfile.ZipFile(file, "w") as target:
        target.writestr("terms.npy", terms.getvalue())
        target.writestr("vectors.npy", member.getvalue() + data)
    return file.getvalue()


A = np.frombuffer(b"a", np.uint8)
HALF = np.ones((1, 2), np.float16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (archive(terms=A), "must hold `terms`, `vectors`"),
        (archive(terms=A, vectors=HALF, more=A), "must hold `terms`, `vectors`"),
        (archive(terms=np.array(["a"], object), vectors=HALF), "`terms` must be uint8"),
        (archive(terms=A, vectors=HALF.astype(np.float64)), "`vectors` must be float16"),
        (archive(terms=A, vectors=HALF.astype(np.int8)), "`vectors` must be float16"),
        (archive(terms=A, vectors=HALF, scales=np.ones(1, np.float32)), "`vectors` must be int8"),
        (archive(terms=A, vectors=HALF.astype(np.int8), scales=np.ones(2, np.float32)), "2 scales"),
        (archive(terms=A, vectors=HALF.astype(np.int8), scales=np.full(1, np.inf, np.float32)), "row 1, .* not finite"),
        (archive(terms=A, vectors=np.ones((2, 2), np.float16)), "1 terms, vectors of shape .2, 2."),
        (archive(terms=A, vectors=HALF, counts=np.array([1, 2])), "2 counts"),
        (archive(terms=A, vectors=HALF * np.float16(np.inf)), "row 1, the vector of 'a', holds values .* not finite"),
        (archive(terms=np.frombuffer(b"\xe9", np.uint8), vectors=HALF), "codec can't decode"),
        (header((1, 10**15)), "of shape .1, 1000000000000000. needs 2000000000000000 bytes, but has 0"),
        (header((10**15, 2), b"abcd"), "needs 4000000000000000 bytes, but has 4"),
        (archive(terms=A, vectors=HALF)[:-30], "damaged .*truncated"),
        (archive(terms=A, vectors=HALF).replace(b"<f2", b"<f4"), "damaged"),
    ],
)
def test_load_errors(tmp_path, data, message):
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ValueError, match=rf"(?s)Cannot load vectors: .*{message}.*Received: path='.*a.npz'"):
        load_vectors(tmp_path / "a.npz")


def test_a_repeated_term(tmp_path):
    (tmp_path / "a.npz").write_bytes(archive(terms=np.frombuffer(b"a\na", np.uint8), vectors=HALF.repeat(2, axis=0)))
    with pytest.warns(UserWarning, match="1 repeated terms"):
        assert load_vectors(tmp_path / "a.npz")[0] == ["a"]


def test_size_is_bounded(tmp_path, monkeypatch):
    save_npz(tmp_path / "a.npz", TERMS, VECTORS)
    monkeypatch.setattr("devise_tf.text.npz_vectors._MAX_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        load_npz(tmp_path / "a.npz")
