"""Tables of results as people read them."""

from collections.abc import Mapping, Sequence

from devise_tf.evaluation.figures.claims import RULE
from devise_tf.evaluation.figures.metrics import HIT, PERCENT, SHARE, Format, MetricAtK, columns
from devise_tf.evaluation.report.models import SETTINGS, in_order


def markdown_tables(report: Mapping) -> str:
    """The results as Markdown: hit@k in per cent, hierarchical precision@k as a share, as in the paper.

    Behind a figure stands half the width of its 95 % interval. hp@1 is hit@1 and has no column.

    Args:
        report: What `metrics.json` holds.

    Returns:
        The tables' text.
    """
    lines = []
    for setting in SETTINGS:
        if setting in report:
            lines += _setting(report, setting)
    if "generalized" in report:
        lines += _generalized(report)
    if report.get("claims"):
        lines += ["What the paper claims, here", "", RULE, ""]
        for claim in report["claims"]:
            lines += [f"- {claim['claim']} ({claim['model']})", f"  - Test: {claim['test']}"]
            for way, result in claim["answers"].items():
                lines.append(f"  - By {way}: **{result['verdict'].capitalize()}**: {result['figures']}.")
        lines.append("")
    lines += [f"- {note}" for note in report.get("notes", ())]
    return "\n".join(lines).rstrip() + "\n"


def _setting(report: Mapping, setting: str) -> list[str]:
    rows, intervals = report[setting], report.get("intervals", {}).get(setting, {})
    shown = columns(rows.values())
    counted = f"{report['images'][setting]} images, {report['labels'][setting]['candidates']} candidates"
    table = [["model", *(f"{column.name}{column.metric.format.unit}" for column in shown)]]
    for model in in_order(rows):
        table.append([model, *_cells(rows[model], shown, intervals.get(model, {}))])
    for model, row in report.get("paper", {}).get(setting, {}).items():
        table.append([f"paper: {model}", *_cells(row, shown)])
    lines = [f"{SETTINGS[setting]} ({counted})", "", *_table(table), ""]
    spread = {
        model: [HIT.format(value) for value in sorted(values["hit@1"])]
        for model, values in report.get("seeds", {}).get(setting, {}).items()
        if len(values.get("hit@1", [])) > 1
    }
    if spread:
        shares = ", ".join(f"{model} {v[0]} to {v[-1]} ({len(v)})" for model, v in spread.items())
        lines += [f"Means of several seeds; their hit@1 in per cent, and number: {shares}.", ""]
    return lines


def _generalized(report: Mapping) -> list[str]:
    rows, intervals = report["generalized"], report["intervals"].get("generalized", {})
    penalized = any("penalized" in row for row in rows.values())
    names = ("seen", "unseen", "harmonic")
    table = [["model", *(f"{name} %" for name in names), "area"]]
    if penalized:
        table[0] += ["penalty", *(f"{name} % with it" for name in names)]
    for model in in_order(rows):
        row, bounds = rows[model], intervals.get(model, {})
        cells = [model, *(_cell(row[name], PERCENT, bounds.get(name)) for name in names)]
        cells.append(_cell(row.get("area"), SHARE))
        if penalized and "penalized" in row:
            after = row["penalized"]
            cells.append(_cell(after["penalty"], SHARE))
            cells += [_cell(after[name], PERCENT, bounds.get(f"penalized.{name}")) for name in names]
        table.append(cells + [""] * (len(table[0]) - len(cells)))
    return [
        "Generalized zero-shot: per-class accuracy over all candidates, and their harmonic mean",
        "",
        *_table(table),
        "",
    ]


def _cells(
    row: Mapping[str, float], shown: Sequence[MetricAtK], intervals: Mapping[str, Sequence[float]] | None = None
) -> list[str]:
    return [_cell(row.get(column.name), column.metric.format, (intervals or {}).get(column.name)) for column in shown]


def _cell(value: float | None, form: Format, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return ""
    return form(value) if interval is None else f"{form(value)} ±{form((interval[1] - interval[0]) / 2)}"


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows = [rows[0], ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], *rows[1:]]
    lines = []
    for row in rows:
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
