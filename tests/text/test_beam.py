"""The Beam pipelines must write, byte for byte, what `Vocabulary.build` and `encode_corpus` write."""

import bz2
import gzip
import json
import lzma
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from devise_tf.text import Corpus, EncodedCorpus, Vocabulary, encode_corpus, get_tokenizer
from devise_tf.text.beam import __main__ as command
from devise_tf.text.vector_tokenizer import save_tokenizer
from tests.helpers.commands import call

ROOT = Path(__file__).resolve().parents[2]
LABEL_TERMS = ["snow leopard", "Leopard cub", "naïve Bär", "東京 タワー", "not there", "rare", "cub"]
WORDS = "the The a snow leopard cub naïve Bär 東京 タワー İstanbul ΟΔΟΣ it's x-ray 2 _ … é 😀 and of".split()
COMMAND = ["-m", "devise_tf.text.beam"]
FILES = ["corpus.ids", "corpus.ids.json", "vectors.bin.tokenizer", "vocabulary.txt"]


def test_missing_beam_is_one_line(tmp_path):
    """With a module in its place that cannot be found, as where Beam is not installed."""
    (tmp_path / "apache_beam.py").write_text("raise ModuleNotFoundError('No module', name='apache_beam')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    for arguments in (["-c", "import devise_tf.text.beam.encode"], [*COMMAND, "--corpus=x", "--output_dir=y"]):
        result = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
        assert result.returncode == 1
        assert result.stderr.rstrip().splitlines()[-1].endswith('pip install "devise_tf[beam]"')
        assert "During handling" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def beam():
    # Its own warnings, and those of what it imports, are not this project's to mend.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("apache_beam")
        from devise_tf.text.beam import encode

    return encode


def make_text(seed, lines=60, end="\n"):
    rng = random.Random(seed)
    made = [" ".join(rng.choices(WORDS, k=rng.randrange(14))) for _ in range(lines)]
    return (end.join(made) + (end if seed % 2 else "")).encode("utf-8")


@pytest.fixture
def folder(tmp_path):
    text = tmp_path / "text"
    text.mkdir()
    (text / "a.txt").write_bytes(b"\xef\xbb\xbf_START_ARTICLE_\nsnow_NEWLINE_leopard cub\n" + make_text(0))
    (text / "b.txt").write_bytes(make_text(1, end="\r\n") + b"one rare word\r\n\r\n \t\r\n")
    (text / "c.txt.gz").write_bytes(gzip.compress(make_text(2)))
    (text / "d.xz").write_bytes(lzma.compress(make_text(3)))
    (text / "e").write_bytes(bz2.compress(make_text(4)))
    (text / "empty.txt").write_bytes(b"")
    (text / "f.txt").write_bytes(make_text(5, lines=1) + b"\n\n\n" + make_text(7).replace(b"\n", b" "))
    return text


def local(pattern, output, label_terms=LABEL_TERMS, rule="words", **arguments):
    output.mkdir()
    corpus = Corpus(pattern, tokenizer=get_tokenizer(rule))
    vocabulary = Vocabulary.build(corpus, label_terms=label_terms, **arguments)
    vocabulary.save(output / "vocabulary.txt")
    encode_corpus(corpus, vocabulary, output / "corpus.ids")
    save_tokenizer(output / "vectors.bin", corpus.tokenizer)
    return output


def assert_same(output, expected):
    assert sorted(os.listdir(output)) == FILES
    for name in FILES:
        assert (output / name).read_bytes() == (expected / name).read_bytes(), name


@pytest.mark.parametrize("range_bytes", [7, 64, 1 << 20])
def test_files_are_byte_for_byte_those_of_one_machine(tmp_path, beam, folder, range_bytes):
    """Ranges of 7 bytes cut lines, `\\r\\n`, the byte-order mark, markers, and characters of up to 4 bytes."""
    pattern = f"{folder}/*"
    if range_bytes == 7:
        pattern = f"{folder}/b.txt,{folder}/a.txt,{folder}/c*"
    expected = local(pattern, tmp_path / "expected", min_count=3)
    encoded = beam.encode_with_beam(pattern, tmp_path / "out", beam.TermChoice(LABEL_TERMS, 3), range_bytes=range_bytes)
    assert_same(tmp_path / "out", expected)
    vocabulary = Vocabulary.load(tmp_path / "out" / "vocabulary.txt")
    assert vocabulary.counts[vocabulary.index["snow_leopard"]] > 1 and vocabulary.counts[vocabulary.index["rare"]] == 1
    assert encoded.matches(Corpus(pattern), vocabulary)


def test_other_rules_give_the_same_files(tmp_path, beam, folder):
    choice = beam.TermChoice(LABEL_TERMS, 2, tokenizer=get_tokenizer("unicode_script"))
    beam.encode_with_beam(f"{folder}/*", tmp_path / "out", choice)
    assert_same(tmp_path / "out", local(f"{folder}/*", tmp_path / "expected", rule="unicode_script", min_count=2))


def test_small_buffers_and_max_size_give_the_same_files(tmp_path, beam, folder, monkeypatch):
    monkeypatch.setattr("devise_tf.text.beam.transforms._MAX_COUNTS", 3)
    monkeypatch.setattr("devise_tf.text.beam.transforms._BUFFER_IDS", 5)
    expected = local(f"{folder}/*.txt", tmp_path / "expected", min_count=2, max_size=9)
    beam.encode_with_beam(f"{folder}/*.txt", tmp_path / "out", beam.TermChoice(LABEL_TERMS, 2, 9), range_bytes=500)
    assert_same(tmp_path / "out", expected)


def test_phrases_are_joined_after_label_terms(tmp_path, beam, folder):
    """They are joined behind label terms, are not forgotten, and are marked in the vocabulary."""
    phrases = ["the snow", "snow leopard", "the_a", "leopard the cub", "not there", "cub", "it s x"]
    expected = local(f"{folder}/*", tmp_path / "expected", min_count=50, phrases=phrases)
    beam.encode_with_beam(
        f"{folder}/*", tmp_path / "out", beam.TermChoice(LABEL_TERMS, 50, phrases=phrases), range_bytes=500
    )
    assert_same(tmp_path / "out", expected)
    vocabulary = Vocabulary.load(tmp_path / "out" / "vocabulary.txt")
    assert {"the_snow", "the_a", "it_s_x"} <= vocabulary.phrases and "snow_leopard" not in vocabulary.phrases


def test_lines_longer_than_the_limit(tmp_path, beam):
    """A line is cut at 1 MiB; ranges that begin within it must not cut it elsewhere, nor read it twice."""
    rng = random.Random(0)
    endless = " ".join(rng.choices(WORDS[:5], k=300_000)).encode("utf-8")
    (tmp_path / "a.txt").write_bytes(b"the cub\n" + endless + b"\nsnow leopard\n" + b"cub" * 400_000 + b"\na cub\na")
    expected = local(f"{tmp_path}/a.txt", tmp_path / "expected", min_count=1)
    beam.encode_with_beam(f"{tmp_path}/a.txt", tmp_path / "out", beam.TermChoice(LABEL_TERMS, 1), range_bytes=300_000)
    assert_same(tmp_path / "out", expected)


@pytest.mark.slow
def test_several_processes_and_the_command(tmp_path, folder, beam):
    """Workers are other processes, which import the package; the command's flags and Beam's stand side by side."""
    expected = local(
        f"{folder}/*", tmp_path / "expected", label_terms=(), min_count=2, max_size=12, phrases=["the snow", "a the"]
    )
    command = [sys.executable, *COMMAND, f"--corpus={folder}/*", f"--output_dir={tmp_path}/out"]
    (tmp_path / "phrases").write_text("the snow\na_the\n\n")
    flags = [
        f"--phrases_file={tmp_path}/phrases",
        "--min_count=2",
        "--max_vocabulary=12",
        "--range_bytes=900",
        f"--temp_location={tmp_path}/shared",
    ]
    beams = ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([*command, *flags, *beams], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "words of text" in result.stdout
    assert_same(tmp_path / "out", expected)
    assert os.listdir(tmp_path / "shared") == []


def test_urls_of_a_beam_file_system(tmp_path, beam, folder):
    """A file system of Beam's, here one that stands for `gs://`: same ids, and a fingerprint of URLs."""
    from apache_beam.io.filesystem import FileMetadata, MatchResult
    from apache_beam.io.localfilesystem import LocalFileSystem

    class UrlFileSystem(LocalFileSystem):
        @classmethod
        def scheme(cls):
            return "test"

        def open(self, path, *arguments, **options):
            return super().open(path.removeprefix("test:/"), *arguments, **options)

        def match(self, patterns, limits=None):
            return [
                MatchResult(
                    "test:/" + result.pattern,
                    [FileMetadata("test:/" + file.path, file.size_in_bytes) for file in result.metadata_list],
                )
                for result in super().match([pattern.removeprefix("test:/") for pattern in patterns], limits)
            ]

    url = f"test:/{folder}"
    expected = local(f"{folder}/b.txt,{folder}/c*", tmp_path / "expected", min_count=1)
    beam.encode_with_beam(f"{url}/b.txt, {url}/c*", tmp_path / "out", beam.TermChoice(LABEL_TERMS, 1), range_bytes=700)
    for name in ("corpus.ids", "vocabulary.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (expected / name).read_bytes()
    files = json.loads((tmp_path / "out" / "corpus.ids.json").read_text())["corpus"]
    assert files == [[f"{url}/{name}", (folder / name).stat().st_size, 0] for name in ("b.txt", "c.txt.gz")]
    with pytest.raises(ValueError, match="No corpus file matches 'test://"):
        beam.encode_with_beam(f"{url}/*.nothing", tmp_path / "out2")


def test_invalid_lines_are_counted_over_the_file(tmp_path, beam, caplog):
    """One line of 200 is tolerated, though it is one of very few in its range; the line's number is the file's."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"a cat\n" * 100 + b"a \xff cat\n" + b"a cat\n" * 99)
    expected = local(str(path), tmp_path / "expected", min_count=1)
    caplog.clear()
    beam.encode_with_beam(str(path), tmp_path / "out", beam.TermChoice(LABEL_TERMS, 1), range_bytes=20)
    assert_same(tmp_path / "out", expected)
    assert "1 of 200 lines hold bytes that are not UTF-8, the first is line 101;" in caplog.text
    path.write_bytes(b"a cat\n" * 90 + b"\xff\n" * 2)
    with pytest.raises(ValueError, match=r"2 of 92 lines .* is line 91; convert the file. Received: .*a\.txt"):
        beam.encode_with_beam(str(path), tmp_path / "out2", range_bytes=20)
    assert os.listdir(tmp_path / "out2") == []


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("a.txt", "the cat".encode("utf-16"), r"is UTF-16; convert it. Received: .*a\.txt"),
        ("a.gz", gzip.compress(bytes(range(256)) * 99, mtime=0)[:-20], r"damaged or truncated .* Received: .*a\.gz"),
        ("a.xz", lzma.compress(b"the cat\n" * 99)[:-9], r"damaged or truncated .* Received: .*a\.xz"),
        ("a.xz", b"", r"damaged or truncated .* Received: .*a\.xz"),
        ("a.gz", b"the cat\n", r"damaged or truncated .* Received: .*a\.gz"),
    ],
)
def test_damaged_file_is_named(tmp_path, beam, name, data, message):
    (tmp_path / name).write_bytes(data)
    (tmp_path / "b.txt").write_bytes(b"the cat\n" * 5)
    with pytest.raises(ValueError, match=message):
        beam.encode_with_beam(f"{tmp_path}/a.*,{tmp_path}/b.txt", tmp_path / "out")
    with pytest.raises(ValueError, match=message):
        list(Corpus(f"{tmp_path}/a.*,{tmp_path}/b.txt").lines())
    assert os.listdir(tmp_path / "out") == []


def test_text_without_frequent_terms_is_an_error(tmp_path, beam):
    path = tmp_path / "a.txt"
    for text, message in [
        ("the cat the", r"of the terms of 3 words 0 occur at least 5 times.*Received: min_count=5"),
        ("... !\n", "holds no letter and no number"),
        ("", "corpus is empty"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            beam.encode_with_beam(str(path), tmp_path / "out")
        assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []


def test_wrong_usage_is_named(tmp_path, beam, folder):
    for arguments in ({"min_count": 0}, {"max_size": 1}):
        with pytest.raises(ValueError, match="Received: min_count="):
            beam.TermChoice(**arguments)
    with pytest.raises(ValueError, match="Received: range_bytes=0"):
        beam.encode_with_beam(f"{folder}/*", tmp_path / "out", range_bytes=0)
    with pytest.raises(ValueError, match="give globs. Received: pattern='tfds:x'"):
        beam.encode_with_beam("tfds:x", tmp_path / "out")
    for extra, message in [
        (["--min_cuont=3"], "No such flags, neither here nor in Beam: ['min_cuont']"),
        (["b.txt", "c.txt"], "Unexpected arguments: b.txt c.txt; this command takes flags only, and globs in quotes."),
        (["--runner=FnApiRunner", "b.txt"], "Unexpected arguments: b.txt; this command takes flags only, and globs"),
    ]:
        status, _, err = call(command.run, f"--output_dir={tmp_path}/out", "--corpus", f"{folder}/a.txt", *extra)
        assert status == 2 and message in err
    assert not (tmp_path / "out").exists()


def test_a_finished_folder_is_left_alone(tmp_path, beam, folder):
    beam.encode_with_beam(f"{folder}/a.txt", tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    with pytest.raises(ValueError, match="exists already.*Received: output_dir="):
        beam.encode_with_beam(f"{folder}/b.txt", tmp_path / "out")
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("broken", ["RangeReader.__iter__", "_join", "sidecar_path"])
def test_failures_leave_nothing(tmp_path, beam, folder, monkeypatch, broken):
    def fail(*_):
        raise OSError(28, "No space left on device")

    if broken == "sidecar_path":
        dumps = json.dumps
        monkeypatch.setattr(beam.json, "dumps", lambda value, **options: fail() if options else dumps(value))
    else:
        from devise_tf.text.beam.range_reader import RangeReader

        owner, _, name = broken.rpartition(".")
        monkeypatch.setattr(RangeReader if owner else beam, name, fail)
    with pytest.raises((RuntimeError, OSError), match="No space left on device"):
        beam.encode_with_beam(f"{folder}/a.txt", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_text_that_changes_meanwhile(tmp_path, beam, folder, monkeypatch):
    encode = beam._encode

    def change(*arguments):
        with open(folder / "a.txt", "ab") as handle:
            handle.write(b"snow\n")
        return encode(*arguments)

    monkeypatch.setattr(beam, "_encode", change)
    with pytest.raises(RuntimeError, match="was changed while it was read"):
        beam.encode_with_beam(f"{folder}/a.txt", tmp_path / "out")
    with pytest.raises(ValueError, match="encode it again"):
        EncodedCorpus.open(tmp_path / "out" / "corpus.ids")
    assert os.listdir(tmp_path / "out") == []
