"""Tables of figures and of differences."""

import itertools
from collections.abc import Mapping, Sequence

from devise_tf.evaluation.figures.metrics import METRICS, PERCENT, SHARE, Format, MetricAtK, columns, format_of
from devise_tf.evaluation.report.html.looks import Looks
from devise_tf.evaluation.report.html.text import escape, figure, interval_of, known, number, plural, signed
from devise_tf.evaluation.report.models import SETTINGS, in_order

_GENERALIZED = ("seen", "unseen", "harmonic")
_GROUP = '<th scope="colgroup" colspan="{}">{}</th>'


def setting_section(report: Mapping, setting: str, looks: Looks) -> str:
    """The figures of all models, the paper's below, and notes on what they are."""
    rows = report.get(setting, {})
    paper = report.get("paper", {}).get(setting, {})
    shown = columns([*rows.values(), *paper.values()])
    if not rows or not shown:
        return ""
    cells = _cells(report, setting, [(column.name, column.metric.format) for column in shown], rows)
    lines = [f"<tr>{looks.row_head(model)}{''.join(cells[model])}</tr>" for model in in_order(rows)]
    table = (
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{setting}-title">'
        f'<table class="figures">{_caption(report, setting)}<thead>{_head(shown)}</thead>'
        f"<tbody>{''.join(lines)}</tbody>{_paper_rows(paper, shown, looks)}</table></div>"
    )
    hints = _hints(report, setting, shown, any("<b>" in cell for row in cells.values() for cell in row), looks)
    return table + "".join(f'<p class="hint">{hint}</p>' for hint in hints)


def _head(shown: Sequence[MetricAtK]) -> str:
    groups = [(metric, list(group)) for metric, group in itertools.groupby(shown, lambda column: column.metric)]
    titles = "".join(_GROUP.format(len(group), metric.title) for metric, group in groups)
    names = "".join(
        f'<th scope="col"{"" if i else " class=first"}>{column.name}</th>'
        for _, group in groups
        for i, column in enumerate(group)
    )
    return f'<tr><td></td>{titles}</tr><tr><th scope="col">model</th>{names}</tr>'


def _caption(report: Mapping, setting: str) -> str:
    counted = []
    if setting in report.get("images", {}):
        counted.append(plural(report["images"][setting], "image"))
    if setting in report.get("labels", {}):
        counted.append(plural(report["labels"][setting]["candidates"], "candidate"))
    return f"<caption>{', '.join(counted)}</caption>" if counted else ""


def _paper_rows(paper: Mapping[str, Mapping[str, float]], shown: Sequence[MetricAtK], looks: Looks) -> str:
    if not paper:
        return ""
    lines = [
        f'<tr><th scope="row">{looks.title(model)}</th>'
        + "".join(f"<td>{figure(row.get(column.name), column.metric.format)}</td>" for column in shown)
        + "</tr>"
        for model, row in paper.items()
    ]
    return (
        f'<tbody class="paper"><tr><th scope="rowgroup" colspan="{len(shown) + 1}">the paper’s figures '
        f"(Frome et al., 2013)</th></tr>{''.join(lines)}</tbody>"
    )


def _hints(report: Mapping, setting: str, shown: Sequence[MetricAtK], bold: bool, looks: Looks) -> list[str]:
    """What the metrics are, below the first table only; what is bold; the figures of seeds."""
    sentences: list[str] = []
    if setting == next(name for name in SETTINGS if name in report):
        sentences += dict.fromkeys(column.metric.hint for column in shown)
    if bold:
        sentences.append("Bold: its interval lies above those of all other models.")
    hints = [" ".join(sentences)] if sentences else []
    for model, values in report.get("seeds", {}).get(setting, {}).items():
        if len(values.get("hit@1", ())) > 1:
            low, high = (figure(bound(values["hit@1"])) for bound in (min, max))
            count = len(values["hit@1"])
            hints.append(f"{looks.title(model)}: mean of {count} seeds; hit@1 from {low} to {high} %.")
    return hints


def generalized_section(report: Mapping, looks: Looks) -> str:
    """Accuracy on seen and on unseen labels, without and with a penalty."""
    figures = report.get("generalized", {})
    if not figures:
        return ""
    rows = {
        model: {**row, **{f"penalized.{name}": value for name, value in (row.get("penalized") or {}).items()}}
        for model, row in figures.items()
    }
    plain = _cells(report, "generalized", [(name, PERCENT) for name in _GENERALIZED], rows)
    after = _cells(report, "generalized", [(f"penalized.{name}", PERCENT) for name in _GENERALIZED], rows)
    penalized = any(row.get("penalized") for row in figures.values())
    area = any("area" in row for row in figures.values())
    lines = []
    for model in in_order(rows):
        cells = "".join(plain[model])
        if penalized:
            penalty = rows[model].get("penalized.penalty")
            cells += f"<td>{f'{penalty:.3g}' if known(penalty) else '–'}</td>{''.join(after[model])}"
        if area:
            cells += f"<td>{figure(rows[model].get('area'), SHARE)}</td>"
        lines.append(f"<tr>{looks.row_head(model)}{cells}</tr>")
    groups: list[tuple[str, tuple[str, ...]]] = [("as answered, %", _GENERALIZED)]
    groups += [("seen labels’ scores less a penalty, %", ("penalty", *_GENERALIZED))] if penalized else []
    groups += [("all penalties", ("area",))] if area else []
    head = "".join(_GROUP.format(len(names), title) for title, names in groups)
    heads = "".join(
        f'<th scope="col"{"" if i else " class=first"}>{name}</th>'
        for _, names in groups
        for i, name in enumerate(names)
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="generalized-title"><table class="figures">'
        "<caption>Accuracy on seen and on unseen labels, all of them candidates</caption>"
        f'<thead><tr><td></td>{head}</tr><tr><th scope="col">model</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        '<p class="hint">Accuracy: hit@1 of each label, averaged over labels. Harmonic: the harmonic mean of both '
        "accuracies, which is high only if both are."
        f"{' Area: under the curve of seen against unseen accuracy.' if area else ''}</p>"
    )


def _cells(
    report: Mapping, setting: str, names: Sequence[tuple[str, Format]], rows: Mapping[str, Mapping]
) -> dict[str, list[str]]:
    """Cells by model of columns `(name, format)`: figures, their intervals, the best in bold."""
    cells: dict[str, list[str]] = {model: [] for model in rows}
    for metric, form in names:
        bounds = {model: bound for model in rows if (bound := interval_of(report, setting, model, metric))}
        best = _best({model: row.get(metric) for model, row in rows.items()}, bounds)
        for model, row in rows.items():
            text = figure(row.get(metric), form)
            if model == best:
                text = f"<b>{text}</b>"
            if model in bounds and known(row.get(metric)):
                low, high = (figure(bound, form) for bound in bounds[model])
                text += f"<small>{low}–{high}</small>"
            cells[model].append(f"<td>{text}</td>")
    return cells


def _best(values: Mapping[str, float | None], intervals: Mapping[str, Sequence[float]]) -> str | None:
    """The model whose interval lies above those of all others, chance aside; None without one."""
    figures = {model: value for model, value in values.items() if known(value) and model != "chance"}
    if len(figures) < 2 or any(model not in intervals for model in figures):
        return None
    best = max(figures, key=lambda model: figures[model])
    return best if all(intervals[best][0] > intervals[m][1] for m in figures if m != best) else None


def differences_section(report: Mapping, looks: Looks) -> str:
    """Differences between models, with pictures of their intervals."""
    settings: dict[str, list[Mapping]] = {}
    for row in report.get("differences", ()):
        if known(row.get("difference")):
            settings.setdefault(row["setting"], []).append(row)
    if not settings:
        return ""
    heads = ("metric", "models", "difference", "95 % interval", "about zero")
    bodies = []
    for setting, rows in settings.items():
        bounds = [row.get(name) for row in rows for name in ("low", "high", "difference")]
        reach = max(abs(bound) for bound in bounds if known(bound)) or 1.0
        bodies.append(
            f'<tbody><tr><th scope="rowgroup" colspan="{len(heads)}">'
            f"{escape(SETTINGS.get(setting, setting.capitalize()))}</th></tr>"
            f"{''.join(_difference(row, reach, looks) for row in rows)}</tbody>"
        )
    tall = " tall" if sum(map(len, settings.values())) > 25 else ""
    return (
        f'<div class="scroll{tall}" tabindex="0" role="region" aria-labelledby="differences-title">'
        '<table class="figures differences"><thead><tr>'
        + "".join(f'<th scope="col">{name}</th>' for name in heads)
        + f"</tr></thead>{''.join(bodies)}</table></div>"
        f'<p class="hint">Paired: both models answer for the same images. Percentage points{_shares()}. '
        "Bold: the interval does not hold zero. The pictures of a setting have one scale.</p>"
    )


def _shares() -> str:
    names = [f"{metric.name}@k" for metric in METRICS.values() if metric.format is SHARE]
    return f", and shares for {', '.join(names)}" if names else ""


def _difference(row: Mapping, reach: float, looks: Looks) -> str:
    """A row of the table of differences; the picture goes from `-reach` to `reach`."""
    difference, low, high = row["difference"], row.get("low"), row.get("high")
    form = format_of(row["metric"])
    text, interval, clear = signed(difference, form), "–", False
    if known(low) and known(high):
        interval = f"{signed(low, form)} to {signed(high, form)}"
        clear = low > 0 or high < 0
    else:
        low = high = difference
    x = [number(120 + 115 * value / reach) for value in (low, difference, high)]
    metric = row["metric"]
    if metric.startswith("penalized."):
        metric = metric.removeprefix("penalized.") + ", with penalty"
    return (
        f"<tr><td>{escape(metric)}</td><td>{looks.title(row['model'])} − {looks.title(row['minus'])}</td>"
        f"<td>{f'<b>{text}</b>' if clear else text}</td><td>{interval}</td>"
        '<td><svg class="forest" viewBox="0 0 240 16" width="240" height="16" aria-hidden="true">'
        f'<line class="zero" x1="120" y1="0" x2="120" y2="16"/><g{" class=clear" if clear else ""}>'
        f'<line class="bar" x1="{x[0]}" y1="8" x2="{x[2]}" y2="8"/><circle cx="{x[1]}" cy="8" r="3"/></g></svg>'
        "</td></tr>"
    )
