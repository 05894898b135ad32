"""Charts of hit@k, and of seen against unseen labels."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from devise_tf.evaluation.report.details import Floats, ReportDetails
from devise_tf.evaluation.report.html.chart import Chart, decades, ticks
from devise_tf.evaluation.report.html.looks import Looks
from devise_tf.evaluation.report.html.text import figure, interval_of, known, number, percent
from devise_tf.evaluation.report.models import SETTINGS, in_order


def curves_section(report: Mapping, details: ReportDetails, looks: Looks) -> tuple[str, list[dict]]:
    """The charts, and for the script what those of hit@k show under the pointer."""
    figures, panels, models = [], [], set()
    for setting in SETTINGS:
        rows = {model: np.asarray(row, float) for model, row in details.curves.get(setting, {}).items() if len(row)}
        if rows:
            drawn, panel = _hit_chart(report, setting, rows, looks)
            figures.append(drawn)
            panels.append(panel)
            models |= set(rows)
    curves = _trades(details.generalized_curve)
    if curves:
        figures.append(_trade_chart(report.get("generalized", {}), curves, looks))
        models |= set(curves)
    if not figures:
        return "", []
    return f'{looks.legend(models)}<div class="panels">{"".join(figures)}</div>', panels


def _hit_chart(report: Mapping, setting: str, rows: Mapping[str, np.ndarray], looks: Looks) -> tuple[str, dict]:
    """hit@k against k, k on a logarithmic scale."""
    longest = max(map(len, rows.values()))
    ks = np.arange(1, longest + 1)
    if longest > 60:
        ks = np.unique(np.concatenate([ks[:20], np.geomspace(20, longest, 60).round().astype(int)]))
    shown = {model: values[ks[ks <= len(values)] - 1] for model, values in rows.items()}
    finite = [value for values in shown.values() for value in values if known(value)]
    chart = Chart(max(finite, default=0.0), math.log(longest) or 1.0)
    parts = [chart.axes([(math.log(k), f"{k:,}") for k in decades(longest)], "k", "hit@k, %")]
    ends = {}
    drawn = in_order(shown)[::-1]
    for i, model in enumerate(drawn):
        points = [(math.log(k), value) for k, value in zip(ks, shown[model], strict=False) if known(value)]
        if not points:
            continue
        ends[model] = chart.y(points[-1][1])
        bars = []
        for k in (1, 5, 20):
            interval = interval_of(report, setting, model, f"hit@{k}")
            if k <= longest and interval:
                # Each model's bar a little beside the next one's, so that none hides another.
                x = chart.x(math.log(k)) + 2.5 * (i - (len(drawn) - 1) / 2)
                bars.append(chart.bar(x, *interval))
        parts.append(_layer(model, chart.line(points) + "".join(bars), looks))
    parts += chart.end_names(ends, looks)
    title = SETTINGS[setting]
    drawing = (
        f'<figure class="panel" id="curve-{setting}"><figcaption>{title}</figcaption>'
        f"{chart.svg(parts, f'hit@k against k: {title}')}</figure>"
    )
    return drawing, {
        "id": f"curve-{setting}",
        "left": chart.left,
        "right": chart.right,
        "ks": ks.tolist(),
        "models": [
            {
                "name": looks.plain_title(model),
                "style": looks.style(model),
                "values": [figure(value) for value in shown[model]],
            }
            for model in drawn[::-1]
        ],
    }


def _trades(curves: Mapping[str, tuple[Floats, Floats]]) -> dict[str, list[tuple[float, float]]]:
    """For each model at most 200 of its pairs of unseen and seen accuracy, those that are numbers."""
    trades = {}
    for model, (seen, unseen) in curves.items():
        pairs = [(float(u), float(s)) for s, u in zip(seen, unseen, strict=True) if known(s) and known(u)]
        if len(pairs) > 200:
            pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, 200).round().astype(int)]
        if pairs:
            trades[model] = pairs
    return trades


def _trade_chart(rows: Mapping, curves: Mapping[str, Sequence[tuple[float, float]]], looks: Looks) -> str:
    """Accuracy on seen labels against that on unseen labels, over all penalties."""
    marked = {
        model: [
            (row["unseen"], row["seen"], mark)
            for row, mark in (
                (rows.get(model), Chart.circle),
                ((rows.get(model) or {}).get("penalized"), Chart.diamond),
            )
            if row and known(row.get("unseen")) and known(row.get("seen"))
        ]
        for model in curves
    }
    every = [pair for pairs in curves.values() for pair in pairs]
    every += [(x, y) for marks in marked.values() for x, y, _ in marks]
    x_ticks = ticks(max(x for x, _ in every))
    chart = Chart(max(y for _, y in every), x_ticks[-1])
    x_texts = [(x, percent(x)) for x in x_ticks]
    parts = [chart.axes(x_texts, "accuracy on unseen labels, %", "accuracy on seen labels, %")]
    for harmonic in x_ticks[1:]:
        # seen = H unseen / (2 unseen - H), from where it enters at the top to the right edge.
        start = harmonic * chart.y_most / (2 * chart.y_most - harmonic) if 2 * chart.y_most > harmonic else math.inf
        if start < 0.98 * chart.x_most:
            xs = np.geomspace(start, chart.x_most, 40)
            line = [(x, harmonic * x / (2 * x - harmonic)) for x in xs]
            parts.append(
                f'<g class="iso">{chart.line(line)}<text x="{number(chart.x(start))}" y="{chart.top - 4}" '
                f'text-anchor="middle">H {percent(harmonic)}</text></g>'
            )
    positions = {model: [(chart.x(x), chart.y(y)) for x, y in pairs] for model, pairs in curves.items()}
    taken: list[tuple[float, float]] = []
    for model in in_order(curves)[::-1]:
        marks = "".join(mark(chart, x, y) for x, y, mark in marked[model])
        x, y = max(positions[model][::8], key=lambda point: _room(point, model, positions, taken))
        taken.append((x, y))
        name = f'<text class="direct" x="{number(x + 8)}" y="{number(y - 5)}">{looks.title(model, 18)}</text>'
        parts.append(_layer(model, chart.line(curves[model]) + marks + name, looks))
    hint = "Each point of a line is one penalty on the scores of seen labels. "
    if any(marked.values()):
        hint += "Circle: no penalty; diamond: the chosen one. "
    hint += "Gray: equal harmonic mean H."
    return (
        '<figure class="panel" id="curve-generalized"><figcaption>Seen against unseen labels, all candidates'
        f"</figcaption>{chart.svg(parts, 'accuracy on seen against accuracy on unseen labels')}"
        f'<p class="hint">{hint}</p></figure>'
    )


def _layer(model: str, marks: str, looks: Looks) -> str:
    return f'<g class="{looks.style(model)}"><title>{looks.title(model)}</title>{marks}</g>'


def _room(point: tuple[float, float], model: str, lines: Mapping[str, Sequence], taken: Sequence) -> float:
    """How far a name of some 90 by 12 px at the upper right of a point is from other lines and names."""
    x, y = point[0] + 50, point[1] - 9
    others = [point for other, points in lines.items() if other != model for point in points]
    others += [(u + 50, v - 9) for u, v in taken]
    return min((math.hypot(max(abs(u - x) - 45, 0), max(abs(v - y) - 6, 0)) for u, v in others), default=x)
