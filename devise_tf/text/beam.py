"""Counts and encodes a corpus with Apache Beam, for text that outgrows a machine.

  python -m devise_tf.text.beam --corpus='text/*.txt' --labels_file=words.txt --output_dir=runs/mine \\
      --runner=FnApiRunner --direct_num_workers=0 --direct_running_mode=multi_processing

writes the same `vocabulary.txt`, `corpus.ids` and `corpus.ids.json`, byte for byte, that `python -m devise_tf.train`
would make of that text, and which it then starts from when it is given the directory as --model_dir. All other flags
are Beam's own pipeline options. Without --runner, the pipeline runs in this process. Workers import neither TensorFlow
nor Keras; they need `devise_tf` and NumPy.
"""

import argparse
import collections
import contextlib
import functools
import gzip
import io
import itertools
import json
import logging
import lzma
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import numpy as np

from devise_tf.files import DECOMPRESSION_ERRORS, atomic_write
from devise_tf.text.corpus import MAX_INVALID_SHARE, Corpus, read_lines
from devise_tf.text.encoded_corpus import VERSION, EncodedCorpus, sidecar_path
from devise_tf.text.term_matcher import TermMatcher
from devise_tf.text.tokenizer import normalize_term, tokenize
from devise_tf.text.vocabulary import Vocabulary
from devise_tf.text.word_index import END

try:
    import apache_beam as beam
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
    from apache_beam.runners.runner import PipelineState
    from apache_beam.utils.shared import Shared
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "apache_beam":
        raise
    message = 'This needs Apache Beam: pip install "devise_tf[beam]"'
    if __name__ == "__main__":
        sys.exit(f"Error: {message}")
    raise ModuleNotFoundError(message, name=error.name) from None

RANGE_BYTES = 32 << 20
# Different terms that a worker collects before it hands their counts on, and ids before it writes them.
_MAX_COUNTS = 1_000_000
_BUFFER_IDS = 1 << 20
# Unlike DirectRunner, which tries to download another runner first, it needs no network.
_IN_PROCESS_RUNNER = "FnApiRunner"
# Their job servers know options that the Python SDK does not.
_RUNNERS_WITH_MORE_OPTIONS = ("FlinkRunner", "PortableRunner", "PrismRunner", "SparkRunner")


def encode_with_beam(
    pattern: str,
    output_dir: str | os.PathLike,
    label_terms: Iterable[str] = (),
    min_count: int = 5,
    max_size: int | None = None,
    phrases: Iterable[str] = (),
    options: PipelineOptions | None = None,
    range_bytes: int = RANGE_BYTES,
) -> EncodedCorpus:
    """Counts the terms of a corpus and encodes it, as `Vocabulary.build` and `encode_corpus` do, in two pipelines.

    Files are read in ranges of bytes, each of which holds the lines that begin in it, so that one large file keeps
    many workers busy; a compressed file is one range. The ranges are encoded to files of their own under the option
    `temp_location` (by default, in `output_dir`), which all workers must be able to write, and are joined in order
    here. They are removed in the end, whether all went well or not.

    Args:
        pattern: Globs, separated by commas, of plain, gzip or xz files that all workers can read: paths, or URLs of
            any file system that Beam knows (`"gs://bucket/text/*.gz"`).
        output_dir: Folder on this machine for `vocabulary.txt`, `corpus.ids` and `corpus.ids.json`; made if missing.
        label_terms: As in `Vocabulary.build`.
        min_count: As in `Vocabulary.build`.
        max_size: As in `Vocabulary.build`.
        phrases: As in `Vocabulary.build`.
        options: Beam's pipeline options; by default all runs in this process.
        range_bytes: Size of the ranges.

    Returns:
        The `EncodedCorpus`. If anything fails, `output_dir` holds nothing that `EncodedCorpus.open` would accept and
        no vocabulary.

    Raises:
        ValueError: `output_dir` holds a vocabulary or an encoded corpus already; nothing matches; the corpus holds no
            words, fewer than two terms survive, or a file is damaged, truncated, or not UTF-8.
        RuntimeError: the pipeline failed, or the text was changed while it was read.

    Example:

    >>> encode_with_beam("text/*.txt", "model_dir", label_terms=["snow leopard"], min_count=5)
    """
    if min_count < 1 or (max_size is not None and max_size < 2) or range_bytes < 1:
        raise ValueError(
            "`min_count` and `range_bytes` must be at least 1 and `max_size` at least 2. "
            f"Received: {min_count=}, {max_size=}, {range_bytes=}"
        )
    guaranteed = _Guaranteed.of(label_terms, phrases)
    output_dir = os.path.abspath(output_dir)
    words, ids = os.path.join(output_dir, "vocabulary.txt"), os.path.join(output_dir, "corpus.ids")
    for path in (words, sidecar_path(ids)):
        if os.path.exists(path):
            raise ValueError(
                f"{path} is there already: remove it, or choose another folder. Received: output_dir={output_dir!r}"
            )
    options = options or PipelineOptions([])
    if options.view_as(StandardOptions).runner is None:
        options.view_as(StandardOptions).runner = _IN_PROCESS_RUNNER
    temporary = options.view_as(GoogleCloudOptions).temp_location or output_dir
    if set(temporary) & set("*?["):
        raise ValueError(f"Beam cannot write to a folder with `*`, `?` or `[` in its name. Received: {temporary}")
    FileSystems.set_options(options)
    files, fingerprint = _match(pattern)
    os.makedirs(output_dir, exist_ok=True)
    work = FileSystems.join(temporary, f"beam-{uuid.uuid4().hex}")
    FileSystems.mkdirs(work)
    try:
        vocabulary = _count(files, work, guaranteed, min_count, max_size, options, range_bytes, pattern)
        reports = _encode(files, work, vocabulary, options, range_bytes)
        if _match(pattern)[1] != fingerprint or sum(r["ids"] for r in reports) != vocabulary.counts.sum():
            raise RuntimeError(f"The text was changed while it was read; run this again. Received: {pattern=}")
        information = {"version": VERSION, "vocabulary": vocabulary.fingerprint(), "corpus": fingerprint}
        totals = [sum(report[name] for report in reports) for name in ("words", "ids", "sentences")]
        information |= dict(zip(("num_words", "num_ids", "num_sentences"), totals, strict=True))
        try:
            _join(reports, ids)
            vocabulary.save(words)
            with atomic_write(sidecar_path(ids)) as handle:  # last: whoever finds it finds the others too
                handle.write(json.dumps(information, indent=1).encode("utf-8"))
        except BaseException:
            for path in (ids, words):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            raise
    finally:
        try:
            # Buckets take the slash for a folder, Beam's local file system for the files in it.
            FileSystems.delete([work + "/" if "://" in work else work])
        except (OSError, beam.io.filesystem.BeamIOError) as error:
            logging.getLogger(__name__).warning("%s could not be removed: %s", work, error)
    return EncodedCorpus.open(ids)


def _match(pattern: str) -> tuple[list[tuple[int, str, int]], list]:
    """Gives `(number, path, size)` of each file, in the corpus's order, and the fingerprint of the corpus."""
    if pattern.startswith("tfds:"):
        raise ValueError(f"Beam reads text files and no TFDS sets: give globs. Received: pattern={pattern!r}")
    if "://" not in pattern:
        fingerprint = Corpus(pattern).fingerprint()
    else:
        pieces = [piece.strip() for piece in pattern.split(",") if piece.strip()]
        found: dict[str, list] = {}
        for piece, match in zip(pieces, FileSystems.match(pieces), strict=True):
            if not match.metadata_list:
                raise ValueError(f"No corpus file matches {piece!r}. Received: pattern={pattern!r}")
            for file in sorted(match.metadata_list, key=lambda file: file.path):
                changed = round(1e9 * (file.last_updated_in_seconds or 0))
                found.setdefault(file.path, [file.path, file.size_in_bytes, changed])
        fingerprint = list(found.values())
    return [(number, path, size) for number, (path, size, _) in enumerate(fingerprint)], fingerprint


def _count(files, work, guaranteed, min_count, max_size, options, range_bytes, pattern) -> Vocabulary:
    """Runs the pipeline that counts the terms."""
    terms = FileSystems.join(work, "guaranteed")
    with _create(terms) as handle:
        handle.write(json.dumps(guaranteed.lists).encode("utf-8"))
    counted = FileSystems.join(work, "counted")
    with _pipeline(options) as pipeline:
        count = beam.ParDo(_CountTerms(terms)).with_outputs("reports", main="counts")
        counts, reports = _ranges(pipeline, files, range_bytes) | "Count" >> count
        (
            counts
            | "Sum" >> beam.CombinePerKey(sum)
            | "Keep" >> beam.ParDo(_KeepTerms(terms, min_count))
            | "WriteCounts" >> beam.io.WriteToText(FileSystems.join(work, "counts"))
        )
        reports | "WriteReports" >> beam.io.WriteToText(counted)
    reports = _read_reports(counted, files)
    _check_encoding(reports, files)
    num_words = sum(report["words"] for report in reports)
    if not num_words:
        raise ValueError(f"The corpus holds no letter and no number. Received: {pattern!r}")
    kept, others = [], []
    for line in _read_text(FileSystems.join(work, "counts")):
        term, _, count = line.partition("\t")
        (kept if term in guaranteed else others).append((-int(count), term))
    others.sort()
    chosen = sorted(kept + (others if max_size is None else others[: max(0, max_size - len(kept))]))
    if len(chosen) < 2:
        raise ValueError(
            f"A vocabulary must hold at least two terms, but of the terms of {num_words} words {len(chosen)} occur at "
            f"least {min_count} times. Lower `min_count` or give more text. Received: {min_count=}, corpus={pattern!r}"
        )
    terms = [term for _, term in chosen]
    return Vocabulary(terms, [-count for count, _ in chosen], set(guaranteed.lists[1]).intersection(terms))


def _encode(files, work, vocabulary: Vocabulary, options, range_bytes) -> list[dict]:
    """Runs the pipeline that encodes ranges; gives their reports in the corpus's order."""
    path, encoded = FileSystems.join(work, "vocabulary"), FileSystems.join(work, "encoded")
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "vocabulary")
        vocabulary.save(local)
        with open(local, "rb") as source, _create(path) as handle:
            shutil.copyfileobj(source, handle, 1 << 20)
    with _pipeline(options) as pipeline:
        (
            _ranges(pipeline, files, range_bytes)
            | "Encode" >> beam.ParDo(_EncodeRange(path, FileSystems.join(work, "ids")))
            | "WriteReports" >> beam.io.WriteToText(encoded)
        )
    return _read_reports(encoded, files)


def _join(reports: Sequence[dict], path: str) -> None:
    with atomic_write(path) as target:
        for report in reports:
            if report["ids"]:
                before = target.tell()
                with _open(report["shard"]) as source:
                    shutil.copyfileobj(source, target, 1 << 20)
                if target.tell() - before != 4 * (report["ids"] + report["sentences"]):
                    raise RuntimeError(f"A file that a worker wrote is not complete. Received: {report['shard']}")
                FileSystems.delete([report["shard"]])  # so that all is not stored twice


@contextlib.contextmanager
def _pipeline(options: PipelineOptions) -> Iterator[beam.Pipeline]:
    """A pipeline that has run, to its end, when the block is left without an error."""
    pipeline = beam.Pipeline(options=options)
    yield pipeline
    try:
        result = pipeline.run()
        state = result.wait_until_finish() or result.state
    except Exception as error:  # every runner has its own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RuntimeError(f"The Beam pipeline failed: {reason[-1]}") from error
    if state != PipelineState.DONE:
        raise RuntimeError(f"The Beam pipeline ended as {state}")


def _ranges(pipeline: beam.Pipeline, files, range_bytes: int) -> beam.PCollection:
    return (
        pipeline
        | "Files" >> beam.Create(files)
        | "SpreadFiles" >> beam.Reshuffle()
        | "Split" >> beam.FlatMap(functools.partial(_split, range_bytes=range_bytes))
        | "SpreadRanges" >> beam.Reshuffle()
    )


def _split(file: tuple[int, str, int], range_bytes: int) -> Iterator[tuple[int, str, int, int]]:
    """Yields `(file's number, path, start, end)`."""
    number, path, size = file
    with _open(path) as handle:
        if _decompress(handle, path) is not handle:
            yield number, path, 0, size
            return
    for start in range(0, size, range_bytes):
        yield number, path, start, min(start + range_bytes, size)


class _Guaranteed:
    """The terms that the vocabulary holds however rare they are: those of labels, and phrases that are none of them."""

    def __init__(self, labels: list[str], phrases: list[str]):
        self.lists = labels, phrases
        self._all = frozenset(labels + phrases)
        self._matchers = TermMatcher(labels), TermMatcher(phrases)

    @classmethod
    def of(cls, labels: Iterable[str], phrases: Iterable[str]) -> "_Guaranteed":
        labels, phrases = set(map(normalize_term, labels)), set(map(normalize_term, phrases))
        return cls(sorted(labels), sorted(phrase for phrase in phrases - labels if "_" in phrase))

    @classmethod
    def load(cls, path: str) -> "_Guaranteed":
        with _open(path) as handle:
            return cls(*json.loads(handle.read()))

    def __contains__(self, term: str) -> bool:
        return term in self._all

    def join(self, words: list[str]) -> list[str]:
        """Words to terms; phrases only where label terms leave words alone."""
        labels, phrases = self._matchers
        return phrases(labels(words))


class _CountTerms(beam.DoFn):
    """Range -> `(term, count)`, where a term may come several times, and a report of the range."""

    def __init__(self, terms: str):
        self._terms, self._shared = terms, Shared()

    def setup(self):
        self._guaranteed = self._shared.acquire(lambda: _Guaranteed.load(self._terms), tag=self._terms)

    def process(self, piece):
        counts: collections.Counter[str] = collections.Counter()
        reader = _RangeReader(piece)
        for words in reader:
            counts.update(self._guaranteed.join(words))
            if len(counts) >= _MAX_COUNTS:
                yield from counts.items()
                counts.clear()
        yield from counts.items()
        yield beam.pvalue.TaggedOutput("reports", json.dumps(reader.report))


class _KeepTerms(beam.DoFn):
    """`(term, count)` -> a line of text for each term that the vocabulary may hold."""

    def __init__(self, terms: str, min_count: int):
        self._terms, self._min_count, self._shared = terms, min_count, Shared()

    def setup(self):
        self._guaranteed = self._shared.acquire(lambda: _Guaranteed.load(self._terms), tag=self._terms)

    def process(self, item):
        term, count = item
        if count >= self._min_count or term in self._guaranteed:
            yield f"{term}\t{count}"


class _EncodeRange(beam.DoFn):
    """Range -> a report of it, and a file of its ids.

    A runner may try a range again, or twice at once: each time writes another file, and the report names it.
    """

    def __init__(self, vocabulary: str, target: str):
        self._path, self._target, self._shared = vocabulary, target, Shared()

    def setup(self):
        self._encoder = self._shared.acquire(lambda: _Encoder(self._path), tag=self._path)

    def process(self, piece):
        get_id, join = self._encoder.get_id, self._encoder.join
        reader = _RangeReader(piece)
        shard = f"{self._target}-{piece[0]}-{piece[2]}-{uuid.uuid4().hex}"
        num_ids = num_sentences = 0
        buffer: list[int] = []
        with _create(shard) as handle:
            for words in reader:
                ids = [i for i in map(get_id, join(words)) if i is not None]
                if ids:
                    num_ids += len(ids)
                    num_sentences += 1
                    buffer += ids
                    buffer.append(END)
                    if len(buffer) >= _BUFFER_IDS:
                        handle.write(np.array(buffer, "<i4").tobytes())
                        buffer.clear()
            handle.write(np.array(buffer, "<i4").tobytes())
        yield json.dumps({**reader.report, "ids": num_ids, "sentences": num_sentences, "shard": shard})


class _Encoder:
    """What a worker process needs to encode, once for all its threads."""

    def __init__(self, path: str):
        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, "vocabulary")
            with _open(path) as source, open(local, "wb") as handle:
                shutil.copyfileobj(source, handle, 1 << 20)
            vocabulary = Vocabulary.load(local)
        self.get_id = vocabulary.index.get
        labels = [term for term in vocabulary.terms if "_" in term and term not in vocabulary.phrases]
        self.join = _Guaranteed(labels, list(vocabulary.phrases)).join


class _RangeReader:
    """The words of each line that begins in a range of a file, and a report of what was read.

    What is wrong with the text is reported and not raised: a runner would try again in vain.
    """

    def __init__(self, piece: tuple[int, str, int, int]):
        self._piece = piece
        number, _, start, end = piece
        self.report = {"file": number, "start": start, "end": end, "error": None}
        self.report |= {"lines": 0, "words": 0, "invalid": 0, "first_invalid": 0}

    def __iter__(self) -> Iterator[list[str]]:
        _, path, start, end = self._piece
        report = self.report
        try:
            with _open(path) as handle:
                content = _decompress(handle, path)
                if content is handle:
                    content = _lines_from(handle, start, end)
                for number, line in enumerate(read_lines(content), start=1):
                    if number == 1 and start == 0 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                        report["error"] = "A corpus must be UTF-8 and this file is UTF-16; convert it."
                        return
                    try:
                        text = line.decode("utf-8")
                    except UnicodeDecodeError:
                        text = line.decode("utf-8", errors="replace")
                        report["invalid"] += 1
                        report["first_invalid"] = report["first_invalid"] or number
                    report["lines"] = number
                    words = tokenize(text)
                    if words:
                        report["words"] += len(words)
                        yield words
        except DECOMPRESSION_ERRORS as error:
            report["error"] = f"A compressed file is damaged or truncated ({error}); fetch it again or leave it out."


def _decompress(handle: IO[bytes], path: str) -> IO[bytes]:
    """The content of a file, which is `handle` itself where it is plain; see `files.open_compressed`."""
    magic = handle.read(6)
    handle.seek(0)
    if magic.startswith(b"\x1f\x8b") or path.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=handle), 1 << 20)
    if magic.startswith(b"\xfd7zXZ\x00") or path.endswith(".xz"):
        return io.BufferedReader(lzma.LZMAFile(handle), 1 << 20)
    return handle


def _lines_from(handle: IO[bytes], start: int, end: int) -> IO[bytes]:
    """The lines of a plain file that begin at `start` or behind it and before `end`."""
    first = _line_start(handle, start, end)
    last = max(first, _line_start(handle, end)) if first < end else first
    handle.seek(first)
    return io.BufferedReader(_Slice(handle, last - first), 1 << 20)


def _line_start(handle: IO[bytes], position: int, limit: int | None = None) -> int:
    """Where the first line begins that does not begin before `position`; not sought beyond `limit`."""
    if position == 0:
        return 0
    position -= 1
    handle.seek(position)
    while limit is None or position < limit:
        piece = handle.readline(1 << 20)
        position += len(piece)
        if not piece or piece.endswith(b"\n"):
            break
    return position


class _Slice(io.RawIOBase):
    """The next `size` bytes of another file."""

    def __init__(self, handle: IO[bytes], size: int):
        self._handle, self._size = handle, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._handle.read(min(len(buffer), self._size))
        buffer[: len(data)] = data
        self._size -= len(data)
        return len(data)


def _open(path: str) -> IO[bytes]:
    handle = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    # Some file systems give readers that find line ends byte by byte.
    return handle if isinstance(handle, io.BufferedReader) else io.BufferedReader(handle, 1 << 20)


def _create(path: str) -> IO[bytes]:
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _read_lines_of(path: str) -> Iterator[str]:
    with _open(path) as handle:
        for line in handle:
            yield line.decode("utf-8").rstrip("\n")


def _read_text(prefix: str) -> Iterator[str]:
    """The lines that `WriteToText` wrote."""
    for file in FileSystems.match([prefix + "-*-of-*"])[0].metadata_list:
        yield from _read_lines_of(file.path)


def _read_reports(prefix: str, files: Sequence[tuple[int, str, int]]) -> list[dict]:
    """Gives one report a range, in the corpus's order.

    Raises:
        ValueError: a range holds what no corpus may hold.
        RuntimeError: the reports are not of the whole corpus.
    """
    reports = {(report["file"], report["start"]): report for report in map(json.loads, _read_text(prefix))}
    ordered = [reports[key] for key in sorted(reports)]
    read = [0] * len(files)
    for report in ordered:
        if report["error"]:
            raise ValueError(f"{report['error']} Received: {files[report['file']][1]}")
        if report["start"] == read[report["file"]]:
            read[report["file"]] = report["end"]
    for (_, path, size), end in zip(files, read, strict=True):
        if end != size:
            raise RuntimeError(f"The pipeline has not read all of a file. Received: {path}, {end} of {size} bytes")
    return ordered


def _check_encoding(reports: Sequence[dict], files: Sequence[tuple[int, str, int]]) -> None:
    """Raises or warns, as `Corpus` does, where lines are not UTF-8."""
    for number, ranges in itertools.groupby(reports, key=lambda report: report["file"]):
        path, lines, invalid, first = files[number][1], 0, 0, 0
        for report in ranges:
            first = first or (report["first_invalid"] and lines + report["first_invalid"])
            lines += report["lines"]
            invalid += report["invalid"]
        if invalid:
            found = f"{invalid} of {lines} lines hold bytes that are not UTF-8, the first is line {first}"
            if invalid > MAX_INVALID_SHARE * lines:
                raise ValueError(f"A corpus must be UTF-8, but {found}; convert the file. Received: {path}")
            logging.getLogger(__name__).warning("%s: %s; these bytes were replaced.", path, found)


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    parser = argparse.ArgumentParser(
        prog="python -m devise_tf.text.beam",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--corpus", required=True, help="Globs of text files, separated by commas; paths or URLs.")
    parser.add_argument("--output_dir", required=True, help="Folder here to write to: a later run's --model_dir.")
    parser.add_argument("--labels", help="File of labels whose terms are to be in the vocabulary.")
    parser.add_argument("--phrases_file", help="File of phrases to join too, one a line.")
    parser.add_argument("--min_count", type=int, default=5, help="Least occurrences of a term; of labels' terms: 1.")
    parser.add_argument("--max_vocabulary", type=int, default=0, help="Most terms in the vocabulary; 0 for no limit.")
    parser.add_argument("--range_bytes", type=int, default=RANGE_BYTES, help="Bytes of text that a task reads.")
    arguments, rest = parser.parse_known_args(argv)
    options = PipelineOptions(rest)
    unknown = options.get_all_options(retain_unknown_options=True).keys() - options.get_all_options().keys()
    # What a shell made of a glob without quotes; Beam would leave it out.
    stray = [
        value
        for before, value in itertools.pairwise(["", *rest])
        if not value.startswith("-") and ("=" in before or not before.startswith("--"))
    ]
    if stray:
        raise ValueError(f"Flags only, please, and globs in quotes. Received: {' '.join(stray)}")
    if unknown and options.view_as(StandardOptions).runner not in _RUNNERS_WITH_MORE_OPTIONS:
        raise ValueError(f"No such flags, neither here nor in Beam: {sorted(unknown)}. Received: {' '.join(rest)}")
    return arguments, options


def main(argv: Sequence[str]) -> None:
    """Runs the command with these arguments."""
    try:
        arguments, options = _parse(argv)
        terms: list[str] = []
        if arguments.labels:
            from devise_tf.labels.label_set import LabelSet  # imports TensorFlow, on this machine only

            terms = [term for label in LabelSet.load(arguments.labels).normalized_terms() for term in label]
        phrases: list[str] = []
        if arguments.phrases_file:
            with open(arguments.phrases_file, encoding="utf-8") as file:
                phrases = [line for line in file if not line.isspace()]
        encoded = encode_with_beam(
            arguments.corpus,
            arguments.output_dir,
            terms,
            arguments.min_count,
            arguments.max_vocabulary or None,
            phrases,
            options,
            arguments.range_bytes,
        )
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"Error: {error}")
    print(f"{encoded.num_words:,} words of text, {encoded.num_ids:,} of them terms: {encoded.path}")


if __name__ == "__main__":
    # By its own name, so that workers find the same classes.
    from devise_tf.text import beam as module

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    module.main(sys.argv[1:])
