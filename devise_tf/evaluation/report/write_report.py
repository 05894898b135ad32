"""The files of a report."""

import contextlib
import json
import os
from collections.abc import Mapping

from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from devise_tf.evaluation.report.markdown import markdown_tables
from devise_tf.files import atomic_write
from devise_tf.model_dir import ReportFile


def write_report(directory: str, report: Mapping, details: ReportDetails) -> str:
    """Writes `metrics.json`, `tables.md` and `index.html` into a directory, all or none; returns the tables."""
    tables = markdown_tables(report)
    texts = {
        ReportFile.METRICS: json.dumps(report, indent=1) + "\n",
        ReportFile.TABLES: f"# Results\n\nCommand: `{report['command']}`\n\n{tables}",
        ReportFile.PAGE: html_report(report, details),
    }
    os.makedirs(directory, exist_ok=True)
    # All are on the disk before the first takes its name: a full disk leaves the old report whole.
    with contextlib.ExitStack() as files:
        for name, text in texts.items():
            file = files.enter_context(atomic_write(os.path.join(directory, name)))
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    return tables
