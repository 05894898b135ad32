import bz2
import gzip
import lzma
import os
import random
import tracemalloc

import numpy as np
import pytest

from devise_tf.text import Corpus

TEXT = b"The snow leopard\nlives in the mountains.\n"
LINES = ["The snow leopard", "lives in the mountains."]


def write(path, data):
    path.write_bytes(data)
    return str(path)


def noise(size):
    """Words that do not compress well."""
    rng = random.Random(0)
    return b"\n".join(b"%x %x" % (rng.getrandbits(64), rng.getrandbits(64)) for _ in range(size // 33))


def test_plain_and_compressed_files_give_the_same_lines(tmp_path):
    compressed = [("b.gz", gzip.compress(TEXT)), ("c.xz", lzma.compress(TEXT)), ("d.bz2", bz2.compress(TEXT))]
    for name, data in [("a.txt", TEXT), *compressed]:
        path = write(tmp_path / name, data)
        corpus = Corpus(path)
        assert list(corpus.lines()) == LINES
        assert list(corpus.lines()) == LINES
        assert corpus.size_bytes == len(data)
        assert corpus.files == [path]


def test_compression_is_recognized_without_suffix(tmp_path):
    assert list(Corpus(write(tmp_path / "a", gzip.compress(TEXT))).lines()) == LINES
    assert list(Corpus(write(tmp_path / "b", lzma.compress(TEXT))).lines()) == LINES


def test_globs_match_files_in_order(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ["b.txt", "a.txt", "c.log", "deep/er/d.txt"]:
        write(tmp_path / name, name.encode())
    files = [os.path.relpath(path, tmp_path) for path in Corpus(f"{tmp_path}/*.txt, {tmp_path}/?.*").files]
    assert files == ["a.txt", "b.txt", "c.log"]
    assert list(Corpus(f"{tmp_path}/**/*.txt").lines()) == ["a.txt", "b.txt", "deep/er/d.txt"]


def test_names_with_commas_and_brackets(tmp_path):
    for name in ["a,b.txt", "c[1].txt"]:
        assert list(Corpus(write(tmp_path / name, TEXT)).lines()) == LINES


def test_line_ends_marks_and_blank_lines(tmp_path):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\n\r\n \t\n\ntwo\r\nthree")
    assert list(Corpus(path).lines()) == ["one", "two", "three"]


def test_empty_file_beside_another(tmp_path):
    write(tmp_path / "a.txt", b"")
    write(tmp_path / "b.txt", TEXT)
    assert list(Corpus(f"{tmp_path}/*.txt").lines()) == LINES


def test_progress_reports_bytes_read(tmp_path):
    data = noise(9 << 20)
    for name, content in [("a.txt", data), ("b.gz", gzip.compress(data, 1))]:
        calls = []
        corpus = Corpus(write(tmp_path / name, content))
        assert sum(1 for _ in corpus.lines(lambda *call: calls.append(call))) == data.count(b"\n") + 1  # noqa: B023
        done = [call[0] for call in calls]
        assert len(done) >= 3 and done == sorted(done)
        assert calls[-1] == (len(content), len(content))


def test_fingerprint_follows_the_files(tmp_path):
    path = write(tmp_path / "a.txt", TEXT)
    before = Corpus(path).fingerprint()
    assert before == Corpus(path).fingerprint() == [[path, len(TEXT), os.stat(path).st_mtime_ns]]
    os.utime(path, ns=(0, 1))
    assert Corpus(path).fingerprint() != before


@pytest.mark.parametrize("pattern", ["", " , ", None])
def test_pattern_is_needed(pattern):
    with pytest.raises(ValueError, match="Received: pattern="):
        Corpus(pattern)


def test_glob_without_a_match_is_an_error(tmp_path):
    write(tmp_path / "a.txt", TEXT)
    with pytest.raises(ValueError, match=r"No corpus file matches '.*\.gz'.*Received"):
        Corpus(f"{tmp_path}/*.txt,{tmp_path}/*.gz")
    with pytest.raises(ValueError, match=r"It is a folder; its files are '.*\*'"):
        Corpus(str(tmp_path))


def test_empty_corpus(tmp_path):
    write(tmp_path / "a.txt", b"")
    with pytest.raises(ValueError, match="corpus is empty.*Received"):
        Corpus(f"{tmp_path}/*")
    write(tmp_path / "b.txt", b" \n\n")
    with pytest.raises(ValueError, match="only blank lines.*Received"):
        list(Corpus(f"{tmp_path}/*").lines())


@pytest.mark.parametrize(("compress", "suffix"), [(gzip.compress, "gz"), (lzma.compress, "xz"), (bz2.compress, "bz2")])
@pytest.mark.parametrize("damage", ["truncated", "truncated_header", "corrupt", "not_compressed"])
def test_damaged_compressed_file_is_named(tmp_path, compress, suffix, damage):
    data = compress(noise(100_000))
    middle = len(data) // 2
    data = {
        "truncated": data[:-20],
        "truncated_header": data[:5],
        "corrupt": data[:middle] + bytes(255 - byte for byte in data[middle : middle + 64]) + data[middle + 64 :],
        "not_compressed": TEXT,
    }[damage]
    path = write(tmp_path / f"a.{suffix}", data)
    with pytest.raises(ValueError, match=rf"damaged or truncated.*Received: {path}"):
        list(Corpus(path).lines())


def test_few_invalid_bytes_are_replaced_and_counted(tmp_path, caplog):
    path = write(tmp_path / "a.txt", b"fine\n" * 198 + b"caf\xe9 noir\n" * 2)
    corpus = Corpus(path)
    assert list(corpus.lines())[-1] == "caf\ufffd noir"
    assert corpus.invalid_lines == {path: 2}
    assert f"{path}: 2 of 200 lines" in caplog.text


def test_many_invalid_bytes_are_an_error(tmp_path):
    write(tmp_path / "a.txt", b"fine\n" * 1000)
    path = write(tmp_path / "b.txt", b"fine\n" * 197 + b"caf\xe9\n" * 3)
    with pytest.raises(ValueError, match=f"3 of 200 lines.*the first is line 198.*Received: {path}"):
        list(Corpus(f"{tmp_path}/*").lines())


def test_utf_16_is_an_error(tmp_path):
    path = write(tmp_path / "a.txt", "some text".encode("utf-16"))
    with pytest.raises(ValueError, match=f"UTF-16.*Received: {path}"):
        list(Corpus(path).lines())


def test_endless_line_is_cut_at_spaces(tmp_path):
    words = [f"word{i}" for i in range(300_000)]
    path = write(tmp_path / "a.gz", gzip.compress(" ".join(words).encode(), 1))
    lengths, result = [], []
    tracemalloc.start()
    for line in Corpus(path).lines():
        lengths.append(len(line))
        result += line.split()[:1] + line.split()[-1:]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(lengths) <= 1 << 20 and len(lengths) >= 3
    assert set(result) <= set(words)
    assert sum(lengths) == len(" ".join(words))
    assert peak < 64 << 20


@pytest.mark.parametrize("character", ["é", "豹", "🐆"])
def test_endless_line_without_spaces_is_cut_between_characters(tmp_path, character):
    text = "x" + character * (3 << 18)
    path = write(tmp_path / "a.txt", text.encode())
    lines = list(Corpus(path).lines())
    assert len(lines) >= 2 and max(len(line.encode()) for line in lines) <= 1 << 20
    assert "".join(lines) == text


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_markers_of_wiki40b_are_line_ends(tmp_path, pack):
    """Also where blocks end, in Windows' lines, beside bytes that are not UTF-8, and in a file that ends with one."""
    text = "_START_ARTICLE_\nSnow leopard\n_START_SECTION_\nRange\n_START_PARAGRAPH_\nRare._NEWLINE_Shy.\n" * 20_000
    expected = ["Snow leopard", "Range", "Rare.", "Shy."] * 20_000
    assert len(text) > 1 << 20
    assert list(Corpus(write(tmp_path / "a.txt", pack(text.encode()))).lines()) == expected
    one_line = " ".join(["cat_NEWLINE_dog"] * 100_000) + "_NEWLINE_"
    lines = list(Corpus(write(tmp_path / "b.txt", pack(one_line.encode()))).lines())
    assert [line.strip() for line in lines if line.strip() not in ("cat", "dog", "dog cat")] == []
    assert " ".join(lines).split() == ["cat", "dog"] * 100_000
    others = b"\xef\xbb\xbf_START_ARTICLE_\r\nThe _start_ of a_NEWLINE\r\n" + b"x\n" * 200 + b"\xff_NEWLINE_y"
    corpus = Corpus(write(tmp_path / "c.txt", pack(others)))
    assert list(corpus.lines()) == ["The _start_ of a_NEWLINE", *"x" * 200, "\ufffd", "y"]
    assert list(corpus.invalid_lines.values()) == [1]


DOCUMENTS = [
    "\n_START_ARTICLE_\nSnow leopard\n_START_SECTION_\nRange\n_START_PARAGRAPH_\nIt lives high._NEWLINE_It is shy.",
    "One line",
]


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    import tensorflow_datasets as tfds

    class TinyText(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="en"), tfds.core.BuilderConfig(name="de")]
        pkg_dir_path = None

        def _info(self):
            features = {"text": tfds.features.Text(), "id": tfds.features.Text()}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(DOCUMENTS), "test": self._generate_examples(["Test"])}

        def _generate_examples(self, texts):
            for i, text in enumerate(texts):
                yield i, {"text": text, "id": str(i)}

    class TinyNumbers(TinyText):
        BUILDER_CONFIGS = []

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({"id": np.int64}))

        def _generate_examples(self, texts):
            yield 0, {"id": 0}

    folder = tmp_path_factory.mktemp("tfds")
    for builder in [TinyText(config="en", data_dir=folder), TinyNumbers(data_dir=folder)]:
        builder.download_and_prepare(file_format="tfrecord")
    return str(folder)


def test_tfds(tfds_dir):
    corpus = Corpus("tfds:tiny_text/en", data_dir=tfds_dir)
    assert sorted(corpus.lines()) == sorted(["Snow leopard", "Range", "It lives high.", "It is shy.", "One line"])
    assert list(corpus.lines()) == list(Corpus("tfds:tiny_text/en:train", data_dir=tfds_dir).lines())
    assert corpus.fingerprint() == [["tiny_text/en/1.0.0", "train", 2]]
    assert list(Corpus("tfds:tiny_text/en:test", data_dir=tfds_dir).lines()) == ["Test"]
    assert len(Corpus("tfds:tiny_text/en:train[:50%]", data_dir=tfds_dir).fingerprint()) == 1
    calls = []
    list(corpus.lines(lambda *call: calls.append(call)))
    assert calls == [(sum(map(len, DOCUMENTS)), corpus.size_bytes)]


def test_tfds_errors(tfds_dir):
    with pytest.raises(ValueError, match=r"'no_such_set' is not prepared.*Received: tfds:no_such_set"):
        Corpus("tfds:no_such_set", data_dir=tfds_dir)
    with pytest.raises(ValueError, match=r"no split 'valid', only \['train', 'test'\].*Received"):
        Corpus("tfds:tiny_text/en:valid", data_dir=tfds_dir)
    with pytest.raises(ValueError, match="no feature 'text', only .*id.*Received"):
        Corpus("tfds:tiny_numbers", data_dir=tfds_dir)
