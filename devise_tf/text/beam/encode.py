"""Counts and encodes a corpus in two pipelines."""

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence

from devise_tf.files import atomic_write
from devise_tf.text.beam.beam_files import create_file, open_file, read_text
from devise_tf.text.beam.range_reader import corpus_ranges
from devise_tf.text.beam.reports import check_encoding, read_reports
from devise_tf.text.beam.sdk import (
    BeamIOError,
    FileSystems,
    GoogleCloudOptions,
    PipelineOptions,
    PipelineState,
    StandardOptions,
    beam,
)
from devise_tf.text.beam.transforms import CountTerms, EncodeRange, GuaranteedTerms, KeepTerms
from devise_tf.text.corpus import Corpus
from devise_tf.text.encoded_corpus import VERSION, EncodedCorpus, made_of, sidecar_path
from devise_tf.text.tokenizer import WORDS, Tokenizer
from devise_tf.text.vector_tokenizer import save_tokenizer, tokenizer_files
from devise_tf.text.vocabulary import Vocabulary

RANGE_BYTES = 32 << 20
# Unlike DirectRunner, which tries to download another runner first, it needs no network.
_IN_PROCESS_RUNNER = "FnApiRunner"


@dataclasses.dataclass(frozen=True)
class TermChoice:
    """Which terms a vocabulary holds, as in `Vocabulary.build`.

    Attributes:
        label_terms, phrases: Strings.
        min_count: Integer.
        max_size: Integer.
        tokenizer: `Tokenizer`. The rule by which text becomes words.

    Raises:
        ValueError: A number is out of range.
    """

    label_terms: Iterable[str] = ()
    min_count: int = 5
    max_size: int | None = None
    phrases: Iterable[str] = ()
    tokenizer: Tokenizer = WORDS

    def __post_init__(self) -> None:
        if self.min_count < 1 or (self.max_size is not None and self.max_size < 2):
            raise ValueError(
                "`min_count` must be at least 1 and `max_size` at least 2. "
                f"Received: min_count={self.min_count}, max_size={self.max_size}"
            )


def encode_with_beam(
    pattern: str,
    output_dir: str | os.PathLike,
    choice: TermChoice | None = None,
    options: PipelineOptions | None = None,
    range_bytes: int = RANGE_BYTES,
) -> EncodedCorpus:
    """Counts the terms of a corpus and encodes it, as `Vocabulary.build` and `encode_corpus` do, in two pipelines.

    Files are read in ranges of bytes, each of which holds the lines that begin in it, so that one large file keeps
    many workers busy; a compressed file is one range. The ranges are encoded to files of their own under the option
    `temp_location` (by default, in `output_dir`), which all workers must be able to write, and are joined in order
    here. They are removed in the end, whether all went well or not.

    Args:
        pattern: String. Globs, separated by commas, of plain, gzip or xz files that all workers can read: paths, or
            URLs of any file system that Beam knows (`"gs://bucket/text/*.gz"`).
        output_dir: Path. Folder on this machine for `vocabulary.txt`, `corpus.ids` and `corpus.ids.json`; made if
            missing.
        choice: `TermChoice`. Which terms the vocabulary holds.
        options: `PipelineOptions`. Beam's pipeline options; by default all runs in this process.
        range_bytes: Integer. Size of the ranges.

    Returns:
        The `EncodedCorpus`. If anything fails, `output_dir` holds nothing that `EncodedCorpus.open` would accept and
        no vocabulary.

    Raises:
        ValueError: `output_dir` holds a vocabulary or an encoded corpus already; nothing matches; the corpus holds no
            words, fewer than two terms survive, or a file is damaged, truncated, or not UTF-8.
        RuntimeError: The pipeline failed, or the text was changed while it was read.

    Example:

    >>> encode_with_beam("text/*.txt", "model_dir", TermChoice(["snow leopard"], min_count=5))
    """
    choice = choice or TermChoice()
    if range_bytes < 1:
        raise ValueError(f"`range_bytes` must be at least 1. Received: {range_bytes=}")
    guaranteed = GuaranteedTerms.of(choice.label_terms, choice.phrases, choice.tokenizer)
    output_dir = os.path.abspath(output_dir)
    words, ids = os.path.join(output_dir, "vocabulary.txt"), os.path.join(output_dir, "corpus.ids")
    for path in (words, sidecar_path(ids)):
        if os.path.exists(path):
            raise ValueError(
                f"{path} exists already: remove it, or choose another folder. Received: output_dir={output_dir!r}"
            )
    options = options or PipelineOptions([])
    temporary = _set_up(options, output_dir)
    files, fingerprint = _match(pattern)
    os.makedirs(output_dir, exist_ok=True)
    with _work_folder(temporary) as work:
        vocabulary = _count(files, work, guaranteed, choice, options, range_bytes, pattern)
        reports = _encode(files, work, vocabulary, options, range_bytes, choice.tokenizer)
        if _match(pattern)[1] != fingerprint or sum(r["ids"] for r in reports) != vocabulary.counts.sum():
            raise RuntimeError(f"The text was changed while it was read; run this again. Received: {pattern=}")
        _write(vocabulary, reports, fingerprint, choice.tokenizer, words, ids)
    return EncodedCorpus.open(ids)


def _set_up(options: PipelineOptions, output_dir: str) -> str:
    """Completes the options; gives the folder of temporary files."""
    if options.view_as(StandardOptions).runner is None:
        options.view_as(StandardOptions).runner = _IN_PROCESS_RUNNER
    temporary = options.view_as(GoogleCloudOptions).temp_location or output_dir
    if set(temporary) & set("*?["):
        raise ValueError(f"Beam cannot write to a folder with `*`, `?` or `[` in its name. Received: {temporary}")
    FileSystems.set_options(options)
    return temporary


@contextlib.contextmanager
def _work_folder(parent: str) -> Iterator[str]:
    """A new folder, which is removed in the end."""
    work = FileSystems.join(parent, f"beam-{uuid.uuid4().hex}")
    FileSystems.mkdirs(work)
    try:
        yield work
    finally:
        try:
            # Buckets take the slash for a folder, Beam's local file system for the files in it.
            FileSystems.delete([work + "/" if "://" in work else work])
        except (OSError, BeamIOError) as error:
            logging.getLogger(__name__).warning("%s could not be removed: %s", work, error)


def _write(
    vocabulary: Vocabulary, reports: Sequence[dict], fingerprint: list, tokenizer: Tokenizer, words: str, ids: str
) -> None:
    """Writes the vocabulary, the joined ids and what they were made of, or nothing."""
    information = {"version": VERSION, **made_of(fingerprint, vocabulary, tokenizer)}
    totals = [sum(report[name] for report in reports) for name in ("words", "ids", "sentences")]
    information |= dict(zip(("num_words", "num_ids", "num_sentences"), totals, strict=True))
    vectors = os.path.join(os.path.dirname(words), "vectors.bin")  # beside which a run looks for the tokenizer
    try:
        save_tokenizer(vectors, tokenizer)
        _join(reports, ids)
        vocabulary.save(words)
        with atomic_write(sidecar_path(ids)) as handle:  # last: where it exists, the others do, too
            handle.write(json.dumps(information, indent=1).encode("utf-8"))
    except BaseException:
        for path in (ids, words, *tokenizer_files(vectors)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        raise


def _match(pattern: str) -> tuple[list[tuple[int, str, int]], list]:
    """Gives `(number, path, size)` of each file, in the corpus's order, and the fingerprint of the corpus."""
    if pattern.startswith("tfds:"):
        raise ValueError(f"Beam reads text files and no TFDS sets: give globs. Received: pattern={pattern!r}")
    if "://" not in pattern:
        fingerprint = Corpus(pattern).fingerprint()
    else:
        pieces = [piece.strip() for piece in pattern.split(",") if piece.strip()]
        entries: dict[str, list] = {}
        for piece, match in zip(pieces, FileSystems.match(pieces), strict=True):
            if not match.metadata_list:
                raise ValueError(f"No corpus file matches {piece!r}. Received: pattern={pattern!r}")
            for file in sorted(match.metadata_list, key=lambda file: file.path):
                changed = round(1e9 * (file.last_updated_in_seconds or 0))
                entries.setdefault(file.path, [file.path, file.size_in_bytes, changed])
        fingerprint = list(entries.values())
    return [(number, path, size) for number, (path, size, _) in enumerate(fingerprint)], fingerprint


def _count(files, work, guaranteed, choice: TermChoice, options, range_bytes, pattern) -> Vocabulary:
    """Runs the pipeline that counts the terms."""
    min_count, max_size = choice.min_count, choice.max_size
    terms = FileSystems.join(work, "guaranteed")
    with create_file(terms) as handle:
        handle.write(json.dumps(guaranteed.lists).encode("utf-8"))
    counted = FileSystems.join(work, "counted")
    with _pipeline(options) as pipeline:
        count = beam.ParDo(CountTerms(terms, choice.tokenizer)).with_outputs("reports", main="counts")
        counts, reports = corpus_ranges(pipeline, files, range_bytes) | "Count" >> count
        (
            counts
            | "Sum" >> beam.CombinePerKey(sum)
            | "Keep" >> beam.ParDo(KeepTerms(terms, min_count))
            | "WriteCounts" >> beam.io.WriteToText(FileSystems.join(work, "counts"))
        )
        reports | "WriteReports" >> beam.io.WriteToText(counted)
    reports = read_reports(counted, files)
    check_encoding(reports, files)
    num_words = sum(report["words"] for report in reports)
    if not num_words:
        raise ValueError(f"The corpus holds no letter and no number. Received: {pattern!r}")
    lines = (line.partition("\t") for line in read_text(FileSystems.join(work, "counts")))
    items = sorted((-int(count), term) for term, _, count in lines)
    protected = [item for item in items if item[1] in guaranteed]
    others = [item for item in items if item[1] not in guaranteed]
    chosen = sorted(protected + (others if max_size is None else others[: max(0, max_size - len(protected))]))
    if len(chosen) < 2:
        raise ValueError(
            f"A vocabulary must hold at least two terms, but of the terms of {num_words} words {len(chosen)} occur at "
            f"least {min_count} times. Lower `min_count` or give more text. Received: {min_count=}, corpus={pattern!r}"
        )
    names = [term for _, term in chosen]
    return Vocabulary(names, [-count for count, _ in chosen], set(guaranteed.lists[1]).intersection(names))


def _encode(files, work, vocabulary: Vocabulary, options, range_bytes, tokenizer) -> list[dict]:
    """Runs the pipeline that encodes ranges; gives their reports in the corpus's order."""
    path, encoded = FileSystems.join(work, "vocabulary"), FileSystems.join(work, "encoded")
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "vocabulary")
        vocabulary.save(local)
        with open(local, "rb") as source, create_file(path) as handle:
            shutil.copyfileobj(source, handle, 1 << 20)
    with _pipeline(options) as pipeline:
        (
            corpus_ranges(pipeline, files, range_bytes)
            | "Encode" >> beam.ParDo(EncodeRange(path, FileSystems.join(work, "ids"), tokenizer))
            | "WriteReports" >> beam.io.WriteToText(encoded)
        )
    return read_reports(encoded, files)


def _join(reports: Sequence[dict], path: str) -> None:
    with atomic_write(path) as target:
        for report in reports:
            if report["ids"]:
                before = target.tell()
                with open_file(report["shard"]) as source:
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
