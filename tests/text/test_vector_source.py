"""Compressed files, archives, and files of other kinds."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import tempfile
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from devise_tf.files import decompressor
from devise_tf.text import load_vectors, save_vectors
from devise_tf.text.convert_vectors import convert_vectors
from devise_tf.text.vector_source import find_vectors
from tests.helpers.fasttext_file import fasttext_file, fasttext_vectors

TERMS = ["snow", "leopard", "豹"]
VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
README = {"README.txt": b"about", "LICENSE": b"text", "meta.json": b"{}", ".hidden": b"x", "__MACOSX/._a.vec": b"x"}


def content(form="word2vec_text"):
    """The bytes of a vector file."""
    with tempfile.TemporaryDirectory() as folder:
        save_vectors(f"{folder}/a", TERMS, VECTORS, form)
        with open(f"{folder}/a", "rb") as file:
            return file.read()


def zip_of(files, **arguments):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **arguments) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_of(files, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def check(path):
    terms, vectors = load_vectors(path)
    assert terms == TERMS
    np.testing.assert_array_equal(vectors, VECTORS)


@pytest.mark.parametrize("form", ["word2vec_text", "word2vec_binary", "glove"])
@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.gz", gzip.compress),
        ("a.bz2", bz2.compress),
        ("a.xz", lzma.compress),
        ("a", bz2.compress),
        ("a.gz", bytes),
        ("a.zip", lambda data: zip_of({"a.vec": data})),
        ("a.zip", lambda data: zip_of({"b/a.vec": data} | README, compression=zipfile.ZIP_DEFLATED)),
        ("a", lambda data: zip_of({"a.vec.gz": gzip.compress(data)})),
        ("a.tar", lambda data: tar_of({"a.vec": data}, "w")),
        ("a.tar.gz", lambda data: tar_of({"b/a.vec": data} | README)),
        ("a.tgz", lambda data: tar_of({"a.vec.xz": lzma.compress(data)})),
        ("a.tar.bz2", lambda data: tar_of({"a": data}, "w:bz2")),
        ("a.tar.xz", lambda data: tar_of({"a": data}, "w:xz")),
    ],
)
def test_compressed_files_and_archives_of_one_file_are_read(tmp_path, name, pack, form):
    (tmp_path / name).write_bytes(pack(content(form)))
    check(tmp_path / name)


def test_a_model_of_fasttext_in_an_archive_is_read(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    (tmp_path / "a.zip").write_bytes(zip_of({"a.bin": fasttext_file(TERMS, matrix, 6)}))
    terms, vectors = load_vectors(tmp_path / "a.zip")
    assert terms == TERMS
    np.testing.assert_allclose(vectors, fasttext_vectors(TERMS, matrix, 6), atol=1e-6)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_one_of_several_files_in_an_archive_is_named(tmp_path, pack):
    path = tmp_path / "glove.zip"
    path.write_bytes(pack({"glove.1d.txt": b"a 1\n", "x/glove.4d.txt": content("glove")} | README))
    with pytest.raises(
        ValueError, match=rf"several files: glove.1d.txt, x/glove.4d.txt. Name one, .*{path}!glove.1d.txt"
    ):
        load_vectors(path)
    check(f"{path}!x/glove.4d.txt")
    assert find_vectors(f"{path}!glove.1d.txt") == f"{path}!glove.1d.txt"
    with pytest.raises(ValueError, match=r"no file 'glove.5d.txt', but glove.1d.txt, x/glove.4d.txt. Name one"):
        load_vectors(f"{path}!glove.5d.txt")
    assert convert_vectors(f"{path}!x/glove.4d.txt", tmp_path / "out.bin") == (3, 4)
    check(tmp_path / "out.bin")


def test_a_mark_in_a_file_name_is_no_archive(tmp_path):
    (tmp_path / "a!b.txt").write_bytes(content())
    check(tmp_path / "a!b.txt")
    (tmp_path / "plain").write_bytes(content())
    with pytest.raises(ValueError, match="the file is no archive, so there is no 'b.txt' in it"):
        load_vectors(f"{tmp_path}/plain!b.txt")
    with pytest.raises(FileNotFoundError, match="Received: '.*none!b.txt'"):
        load_vectors(f"{tmp_path}/none!b.txt")
    with pytest.raises(FileNotFoundError, match="That is a folder; name a file in it"):
        load_vectors(tmp_path)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_archive_without_vectors_is_refused(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack(README))
    with pytest.raises(ValueError, match="the archive holds no file that could hold vectors"):
        load_vectors(tmp_path / "a")


def pickled():
    return pickle.dumps({"vectors": [1.0]})


def saved(save, *arrays):
    buffer = io.BytesIO()
    save(buffer, *arrays)
    return buffer.getvalue()


SAFETENSORS = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.kv", pickled(), "a Python pickle.*never read here.*save_word2vec_format"),
        ("a.kv", pickle.dumps([1, 2], protocol=2), "a Python pickle"),
        ("a.npy", saved(np.save, VECTORS), "a NumPy array .*which has no terms"),
        ("a.npz", saved(np.savez, VECTORS), "a NumPy archive must hold `terms`, `vectors`"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "an HDF5 file: open it with h5py or pandas"),
        ("a.pt", zip_of({"archive/data.pkl": b"x", "archive/data/0": b"y"}), "a PyTorch file, which holds a pickle"),
        ("a.keras", zip_of({"config.json": b"x", "model.weights.h5": b"y"}), "a Keras model"),
        ("a.safetensors", struct.pack("<q", len(SAFETENSORS)) + SAFETENSORS + b"1234", "a safetensors file"),
        ("a.parquet", b"PAR1\x15\x04" + b"\0" * 99, "a Parquet file: open it with pandas"),
        ("a.arrow", b"ARROW1\0\0" + b"\0" * 99, "an Arrow file"),
        ("a.html", b"\n<!DOCTYPE html>\n<html><body>404</body></html>\n", "a web page: it is not what was to be"),
        ("a.vec.gz", b"<html><head></head></html>", "a web page"),
        ("a.xml", b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "a web page"),
        ("a.json", b'{"cat": [1, 2], "dog": [3, 4]}', "a JSON file"),
        ("a.json", b'{\n "cat": [1, 2]}', "a JSON file"),
        # Without a time: names of tests must not depend on it.
        ("a.gz", gzip.compress(gzip.compress(b"a 1 2\n", mtime=0), mtime=0), "a compressed file inside a compressed"),
        ("a.xz", lzma.compress(zip_of({"a.txt": b"a 1 2\n"})), "a compressed file inside a compressed file"),
        ("a.vec", LFS, "a Git LFS pointer.*git lfs pull"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive: unpack it"),
        ("a.zst", b"\x28\xb5\x2f\xfd" + b"\0" * 9, "a Zstandard file: unpack it"),
        ("a.rar", b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        ("a.pdf", b"%PDF-1.7\n", "a PDF document"),
        ("a.magnitude", b"SQLite format 3\0" + b"\0" * 99, "an SQLite database"),
        ("a.txt", "a 1 2\n".encode("utf-16"), "UTF-16 text: convert it to UTF-8"),
        ("a.zip", zip_of({}), "an empty ZIP archive"),
        ("a.zip", zip_of({"a.txt": b"a 1 2\n"})[:-5], "the archive is damaged .*is the file truncated"),
        ("a.zip", zip_of({"a.kv": pickled()}), "a Python pickle"),
        ("a.tar.gz", tar_of({"a.txt": b"a 1 2\n" * 9999})[:-30], "the compressed file is damaged or truncated"),
        ("a.bz2", b"BZh91AY&SY" + b"\1" * 99, "the compressed file is damaged or truncated .Invalid data stream"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(
        ValueError, match=rf"(?s)Cannot load vectors: .*({message}).*Received: path='{tmp_path / name}'"
    ):
        load_vectors(tmp_path / name)


def test_an_encrypted_archive_is_named(tmp_path):
    data = bytearray(zip_of({"a.txt": b"a 1 2\n"}))
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(start) + flags] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"'a.txt' in the archive is encrypted: unpack it"):
        load_vectors(tmp_path / "a.zip")


@pytest.mark.parametrize("first", ["<html>", "{", "version", "%PDF-", "<?xml", '["', "PAR"])
def test_terms_that_look_like_another_kind_are_read(tmp_path, first):
    (tmp_path / "a").write_text(f"{first} 1 2\ncat 3 4\n")
    assert load_vectors(tmp_path / "a")[0] == [first, "cat"]


class Trap:
    def __reduce__(self):
        return warnings.warn, ("the pickle was read",)


def test_no_pickle_is_ever_read(tmp_path):
    for protocol in range(6):
        (tmp_path / "a").write_bytes(pickle.dumps(Trap(), protocol))
        for form in (None, "word2vec_text", "word2vec_binary", "glove", "npz"):
            with pytest.raises(ValueError, match="Cannot load vectors"):
                load_vectors(tmp_path / "a", form)


def test_what_gensim_saves(tmp_path):
    """Its own form is a pickle; word2vec's are not."""
    from gensim.models import KeyedVectors, Word2Vec

    keyed = KeyedVectors(4)
    keyed.add_vectors(TERMS, VECTORS)
    keyed.save(str(tmp_path / "a.kv"))
    Word2Vec([TERMS] * 3, vector_size=4, min_count=1).save(str(tmp_path / "a.model"))
    for name in ("a.kv", "a.model"):
        with pytest.raises(ValueError, match="a Python pickle, such as gensim's"):
            load_vectors(tmp_path / name)
    for name, binary in (
        ("a.bin", True),
        ("a.vec", False),
        ("a.vec.gz", False),
        ("a.bin.bz2", True),
        ("a.vec.xz", False),
    ):
        keyed.save_word2vec_format(str(tmp_path / name), binary=binary)
        check(tmp_path / name)


def test_memory_stays_bounded_while_an_archive_is_read(tmp_path):
    rows = b"".join(b"term%d %b\n" % (i % 100, b" ".join([b"0.25"] * 100)) for i in range(20_000))
    (tmp_path / "a.zip").write_bytes(zip_of({"a.txt": b"term%d" % 0 + rows[5:]}, compression=zipfile.ZIP_DEFLATED))
    del rows
    tracemalloc.start()
    with pytest.warns(UserWarning, match="19900 repeated"):
        load_vectors(tmp_path / "a.zip")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_the_suffix_decides_where_the_first_bytes_do_not_tell():
    assert [decompressor(b"the cat is", f"a{s}") is None for s in ("", ".gz", ".bz2", ".xz")] == [True] + [False] * 3
