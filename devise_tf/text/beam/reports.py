"""What workers report of the ranges that they read."""

import itertools
import json
import logging
from collections.abc import Sequence

from devise_tf.text.beam.beam_files import read_text
from devise_tf.text.corpus import MAX_INVALID_SHARE


def read_reports(prefix: str, files: Sequence[tuple[int, str, int]]) -> list[dict]:
    """Gives one report a range, in the corpus's order.

    Raises:
        ValueError: A range holds what no corpus may hold.
        RuntimeError: The reports are not of the whole corpus.
    """
    reports = {(report["file"], report["start"]): report for report in map(json.loads, read_text(prefix))}
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


def check_encoding(reports: Sequence[dict], files: Sequence[tuple[int, str, int]]) -> None:
    """Raises or warns, as `Corpus` does, where lines are not UTF-8."""
    for number, ranges in itertools.groupby(reports, key=lambda report: report["file"]):
        path, lines, invalid, first = files[number][1], 0, 0, 0
        for report in ranges:
            first = first or (report["first_invalid"] and lines + report["first_invalid"])
            lines += report["lines"]
            invalid += report["invalid"]
        if invalid:
            summary = f"{invalid} of {lines} lines hold bytes that are not UTF-8, the first is line {first}"
            if invalid > MAX_INVALID_SHARE * lines:
                raise ValueError(f"A corpus must be UTF-8, but {summary}; convert the file. Received: {path}")
            logging.getLogger(__name__).warning("%s: %s; these bytes were replaced.", path, summary)
