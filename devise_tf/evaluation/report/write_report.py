"""Tables of results, as people read them and as programs do."""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence

from devise_tf.evaluation.report.html import html_report
from devise_tf.evaluation.report.report_details import ReportDetails
from devise_tf.evaluation.report.titles import SETTINGS, in_order
from devise_tf.files import atomic_write


def markdown_tables(report: Mapping) -> str:
    """The results as Markdown: hit@k in per cent, hierarchical precision@k as a share, as in the paper.

    Behind a figure stands half the width of its 95 % interval. hp@1 is hit@1 and has no column.

    Args:
        report: What `metrics.json` holds.

    Returns:
        The tables' text.
    """
    lines = []
    for setting, title in SETTINGS.items():
        if setting not in report:
            continue
        rows, intervals = report[setting], report.get("intervals", {}).get(setting, {})
        metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row if metric != "hp@1"))
        counted = f"{report['images'][setting]} images, {report['labels'][setting]['candidates']} candidates"
        lines += [f"{title} ({counted})", ""]
        table = [["model", *(f"{metric} %" if metric.startswith("hit") else metric for metric in metrics)]]
        for model in in_order(rows):
            table.append([model, *(_cell(m, rows[model].get(m), intervals.get(model, {}).get(m)) for m in metrics)])
        for model, row in report.get("paper", {}).get(setting, {}).items():
            table.append([f"paper: {model}", *(_cell(metric, row.get(metric)) for metric in metrics)])
        lines += [*_table(table), ""]
        spread = {
            model: [100 * value for value in values["hit@1"]]
            for model, values in report.get("seeds", {}).get(setting, {}).items()
            if len(values.get("hit@1", [])) > 1
        }
        if spread:
            shares = ", ".join(f"{model} {min(v):.1f} to {max(v):.1f} ({len(v)})" for model, v in spread.items())
            lines += [f"Means of several seeds; their hit@1 in per cent, and number: {shares}.", ""]
    if "generalized" in report:
        lines += _generalized(report)
    if report.get("claims"):
        lines += ["What the paper claims, here", ""]
        for claim in report["claims"]:
            lines.append(f"- {claim['claim']} **{claim['verdict'].capitalize()}**: {claim['figures']}.")
        lines.append("")
    lines += [f"- {note}" for note in report.get("notes", ())]
    return "\n".join(lines).rstrip() + "\n"


def _generalized(report):
    rows, intervals = report["generalized"], report["intervals"].get("generalized", {})
    penalized = any("penalized" in row for row in rows.values())
    names = ("seen", "unseen", "harmonic")
    table = [["model", *(f"{name} %" for name in names), "area"]]
    if penalized:
        table[0] += ["penalty", *(f"{name} % with it" for name in names)]
    for model in in_order(rows):
        row, its = rows[model], intervals.get(model, {})
        cells = [model, *(_cell("hit", row[name], its.get(name)) for name in names)]
        cells.append(f"{row['area']:.3f}" if "area" in row else "")
        if penalized and "penalized" in row:
            after = row["penalized"]
            cells.append(f"{after['penalty']:.3f}")
            cells += [_cell("hit", after[name], its.get(f"penalized.{name}")) for name in names]
        table.append(cells + [""] * (len(table[0]) - len(cells)))
    return [
        "Generalized zero-shot: per-class accuracy over all candidates, and their harmonic mean",
        "",
        *_table(table),
        "",
    ]


def _cell(metric: str, value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return ""
    hit = metric.startswith("hit")
    half = None if interval is None else (interval[1] - interval[0]) / 2
    text = f"{100 * value:.1f}" if hit else f"{value:.3f}"
    return text if half is None else f"{text} ±{100 * half:.1f}" if hit else f"{text} ±{half:.3f}"


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows = [rows[0], ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], *rows[1:]]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def write_report(directory: str, report: Mapping, details: ReportDetails) -> str:
    """Writes `metrics.json`, `tables.md` and `index.html` into a directory, all or none; returns the tables."""
    tables = markdown_tables(report)
    texts = {
        "metrics.json": json.dumps(report, indent=1) + "\n",
        "tables.md": f"# Results\n\nCommand: `{report['command']}`\n\n{tables}",
        "index.html": html_report(report, details),
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
