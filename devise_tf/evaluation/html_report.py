"""A report as one HTML page: tables and pictures in the page itself, so that it opens anywhere, without a network."""

import base64
import html
import json
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from devise_tf.evaluation.report_details import MAX_POINTS, ReportDetails
from devise_tf.text.files import atomic_write

MAX_BYTES = 5_000_000
MAX_ROWS = 2000
MAX_SAMPLES = 48
_MAX_LISTED = 300
_MAX_CONFUSIONS = 15
_MAX_NAMES = 60  # printed in the map
_ANSWERS = 5

# Titles, and which labels the images are of.
_SETTINGS = {
    "seen": ("Seen labels", "seen"),
    "unseen": ("Unseen labels among unseen candidates", "unseen"),
    "unseen+seen": ("Unseen labels among all candidates", "unseen"),
}

# Names, colours for light and dark pages, and dashes. The colours of the first rank, those of the solid lines, stay
# apart for people who see no red or no green; dashes and labels at the lines tell the others.
_MODELS = {
    "softmax": ("softmax", "#b84a00", "#ff8a33", ""),
    "devise": ("DeViSE", "#2f6fd6", "#5b95ff", ""),
    "devise_projection": ("DeViSE, frozen CNN", "#0f3d91", "#a5cdff", "6 3"),
    "random": ("random embedding", "#86206f", "#f59ae8", ""),
    "conse": ("ConSE", "#00775a", "#6fe8a0", ""),
    "conse_1": ("ConSE, best label", "#5c8a1e", "#b6d957", "6 3"),
    "conse_all": ("ConSE, all labels", "#0b7285", "#4fb3c8", "2 3"),
    "l2": ("L2 loss", "#a07520", "#d3c060", ""),
}
_OTHERS = (("#5b4ab8", "#b3a4ff", "8 2 2 2"), ("#b0244a", "#ff8095", "4 2"), ("#4a4a4a", "#d8d8d8", "10 3"))
_CHANCE = ("chance", "#807d8c", "#8f8c98", "1 3")

_GROUPS = (
    ("#332288", "#8d7ff0"), ("#e0851f", "#f5a04a"), ("#117733", "#3fb567"), ("#cc3d55", "#ff7a8e"),
    ("#2b8cc4", "#7cc8f2"), ("#8a7a12", "#c8b53c"), ("#aa4499", "#e083d0"), ("#44aa99", "#5fd6c2"),
    ("#7a3b12", "#c98a5a"), ("#b58f00", "#ffe066"), ("#5577aa", "#b4c4e8"), ("#7fb032", "#b7e36b"),
)  # fmt: skip
_GREY = ("#9a9aa2", "#74747e")

_COVERAGE = {
    "first_whole": "first term whole",
    "other_whole": "another term whole",
    "composed": "composed from words",
    "missing": "missing",
}
_VERDICTS = {"holds": ("holds", "✓"), "does not hold": ("fails", "✗"), "cannot tell": ("open", "?")}
_GENERALIZED = ("seen", "unseen", "harmonic")


def html_report(report: Mapping, details: ReportDetails) -> str:
    """The report as a page of at most 5 MB, which needs nothing but itself.

    Tables and pictures are HTML and SVG, so that the page is whole without JavaScript, which adds sorting, a filter
    and figures under the pointer. All text from data is escaped.

    Args:
        report: What `metrics.json` holds. Every part but `"command"` may be absent, and is then left out.
        details: What is shown of single labels and images. At most the 2,000 labels with the most images are listed,
            2,000 points and 48 samples shown, and fewer of each where the page would be too large; the page says so.

    Returns:
        The HTML text.
    """
    for share in (1.0, 0.5, 0.25, 0.1, 0.0):
        page = _Page(report, details, share).text()
        if len(page.encode()) <= MAX_BYTES:
            break
    return page


def write_html_report(path: str | os.PathLike, report: Mapping, details: ReportDetails) -> None:
    """Writes `html_report`'s page to a file, atomically."""
    page = html_report(report, details)
    with atomic_write(path) as file:
        file.write(page.encode())


def _clip(value: object, most: int) -> str:
    """Text of at most `most` characters, without lone surrogates, which UTF-8 does not have."""
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _escape(value: object, most: int = 2000) -> str:
    """Text for HTML."""
    return html.escape(_clip(value, most))


def _known(value: object) -> bool:
    return value is not None and math.isfinite(value)


def _figure(value: float | None, hierarchical: bool = False) -> str:
    """Hits and accuracies in per cent, hierarchical precision as a share, as in the paper."""
    return "–" if not _known(value) else f"{value:.3f}" if hierarchical else f"{100 * value:.1f}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _percent(tick: float) -> str:
    return f"{100 * tick:.6g}"


def _signed(value: float, hierarchical: bool = False) -> str:
    return ("−" if value < 0 else "+") + _figure(abs(value), hierarchical)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _metrics(rows: Iterable[Mapping[str, float]]) -> list[tuple[str, int]]:
    """`[("hit", 1), …, ("hp", 2), …]`, what any of the rows has; hp@1 is hit@1 and left out."""
    found = {re.fullmatch(r"(hit|hp)@(\d+)", metric) for row in rows for metric in row} - {None}
    return sorted({(match[1], int(match[2])) for match in found} - {("hp", 1)})


class _Page:
    """One page of a report; `share` of the most rows, points and samples are shown."""

    def __init__(self, report: Mapping, details: ReportDetails, share: float):
        self.report, self.details, self.share = report, details, share
        self.panels: list[dict] = []  # what the script shows under the pointer
        used: dict[str, None] = {}
        for setting in _SETTINGS:
            used |= dict.fromkeys(report.get(setting, ())) | dict.fromkeys(details.curves.get(setting, ()))
        used |= dict.fromkeys(report.get("generalized", ())) | dict.fromkeys(details.generalized_curve)
        used |= dict.fromkeys(details.confusions)
        for sample in details.samples:
            used |= dict.fromkeys(sample.answers)
        for row in details.label_rows:
            used |= dict.fromkeys(row.hits)
        others = [model for model in used if model not in _MODELS and model != "chance"]
        self.looks = dict(_MODELS)
        for i, model in enumerate(others):
            self.looks[model] = (model, *_OTHERS[i % len(_OTHERS)])
        self.looks["chance"] = _CHANCE
        self.order = {model: i for i, model in enumerate(self.looks)}

    def text(self) -> str:
        sections = [
            ("claims", "Claims", self._claims()),
            *((setting, title, self._setting(setting)) for setting, (title, _) in _SETTINGS.items()),
            ("generalized", "Generalized zero-shot", self._generalized()),
            ("differences", "Differences between models", self._differences()),
            ("curves", "Curves", self._curves()),
            ("samples", "Samples", self._samples()),
            ("map", "Map of the label vectors", self._map()),
            ("confusions", "Confusions", self._confusions()),
            ("labels", "Labels", self._labels()),
            ("coverage", "Coverage of the labels", self._coverage()),
            ("notes", "Notes", self._notes()),
        ]
        sections = [section for section in sections if section[2]]
        links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in sections)
        # Lines are broken between arguments, not after their dashes.
        command = re.sub(r"\S+", r"<span>\g<0></span>", _escape(self.report["command"], 10_000))
        body = [
            f'<header>\n<h1>DeViSE: results</h1>\n<pre class="command"><code>{command}</code></pre>',
            f'<p class="measured">{self._measured()}</p>',
            f'<nav aria-label="Parts of the report"><ul>{links}</ul></nav>\n</header>',
        ]
        body += [
            f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n<h2 id="{anchor}-title">{title}</h2>\n'
            f"{content}\n</section>"
            for anchor, title, content in sections
        ]
        # In JSON only a string can hold a "<", and as \u003c no string of it ends the element.
        data = json.dumps({"panels": self.panels}, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        parts = {"styles": self._styles(), "body": "\n".join(body), "data": data}
        with open(os.path.join(os.path.dirname(__file__), "report.html"), encoding="utf-8") as file:
            template = file.read()
        # All at once: what is put in is not looked through for more places.
        return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)

    # Models and labels

    def _sorted(self, models: Iterable[str]) -> list[str]:
        return sorted(models, key=lambda model: (self.order.get(model, len(self.order)), model))

    def _style(self, model: str) -> str:
        return f"m{self.order[model]}"

    def _title(self, model: str, most: int = 40) -> str:
        return html.escape(self._plain_title(model, most))

    def _plain_title(self, model: str, most: int = 40) -> str:
        name, bracket, rest = model.partition(" (")  # the paper's rows: "devise (500-D)"
        return _clip(self.looks[name][0] + bracket + rest if name in self.looks else model, most)

    def _styles(self) -> str:
        """A colour, and a dash for lines, of each model and each group of the map."""
        light, dark = [], []
        for model, (_, on_light, on_dark, dash) in self.looks.items():
            light.append(f".{self._style(model)}{{--c:{on_light};--dash:{dash or 'none'}}}")
            dark.append(f".{self._style(model)}{{--c:{on_dark}}}")
        for i, (on_light, on_dark) in enumerate((*_GROUPS, _GREY)):
            light.append(f".g{i}{{--c:{on_light}}}")
            dark.append(f".g{i}{{--c:{on_dark}}}")
        return "\n".join([*light, "@media screen and (prefers-color-scheme: dark) {", *dark, "}"])

    def _name(self, label: str, most: int = 60) -> str:
        return _escape(self.details.names.get(label, label), most)

    def _label(self, label: str) -> str:
        return f'<bdi title="{_escape(label, 60)}">{self._name(label)}</bdi>'

    def _model_head(self, model: str) -> str:
        return f'<th scope="row"><i class="dot {self._style(model)}"></i>{self._title(model)}</th>'

    def _legend(self, models: Iterable[str]) -> str:
        items = "".join(
            f'<li class="{self._style(model)}"><svg width="30" height="10" aria-hidden="true">'
            f'<line class="line" x1="1" y1="5" x2="29" y2="5"/></svg>{self._title(model)}</li>'
            for model in self._sorted(models)
        )
        return f'<ul class="legend">{items}</ul>'

    # Parts

    def _measured(self) -> str:
        parts = []
        for setting, (_, kind) in _SETTINGS.items():
            images, labels = self.report.get("images", {}).get(setting), self.report.get("labels", {}).get(setting)
            if setting in self.report and images is not None and labels:
                parts.append(
                    f"{_plural(images, 'image')} of {_plural(labels['labels'], f'{kind} label')} against "
                    f"{_plural(labels['candidates'], 'candidate')}"
                )
        text = f"Every model answers for the same images: {'; '.join(parts)}. " if parts else ""
        if self.report.get("bad_images"):
            count = self.report["bad_images"]
            verb = "was left out: it" if count == 1 else "were left out: they"
            text += f"{_plural(count, 'image')} {verb} could not be read. "
        if self.report.get("intervals"):
            text += "Small figures are 95 % bootstrap intervals."
        return text.strip()

    def _claims(self) -> str:
        items = []
        for claim in self.report.get("claims", ()):
            kind, sign = _VERDICTS.get(claim["verdict"], ("open", "?"))
            items.append(
                f'<li class="{kind}"><span class="verdict"><b aria-hidden="true">{sign}</b> '
                f"{_escape(claim['verdict'])}</span><div><p>{_escape(claim['claim'])}</p>"
                f'<p class="soft">{_escape(claim.get("figures", ""))}</p></div></li>'
            )
        return f'<ul class="claims">{"".join(items)}</ul>' if items else ""

    def _best(self, values: Mapping[str, float | None], intervals: Mapping[str, Sequence[float]]) -> str | None:
        """The model whose interval lies above those of all others, chance aside; None without one."""
        models = [model for model, value in values.items() if _known(value) and model != "chance"]
        if len(models) < 2 or any(model not in intervals for model in models):
            return None
        best = max(models, key=values.get)
        return best if all(intervals[best][0] > intervals[m][1] for m in models if m != best) else None

    def _interval(self, setting: str, model: str, metric: str) -> tuple[float, float] | None:
        found = self.report.get("intervals", {}).get(setting, {}).get(model, {}).get(metric)
        return tuple(found) if found and all(map(_known, found)) else None

    def _figure_columns(self, setting: str, columns: Sequence[tuple[str, bool]], rows: Mapping[str, Mapping]) -> dict:
        """Cells by model of columns `(metric, hierarchical)`: figures, their intervals, the best in bold."""
        cells: dict[str, list[str]] = {model: [] for model in rows}
        for metric, hierarchical in columns:
            bounds = {model: bound for model in rows if (bound := self._interval(setting, model, metric))}
            best = self._best({model: row.get(metric) for model, row in rows.items()}, bounds)
            for model, row in rows.items():
                figure = _figure(row.get(metric), hierarchical)
                if model == best:
                    figure = f"<b>{figure}</b>"
                if model in bounds and _known(row.get(metric)):
                    low, high = (_figure(bound, hierarchical) for bound in bounds[model])
                    figure += f"<small>{low}–{high}</small>"
                cells[model].append(f"<td>{figure}</td>")
        return cells

    def _setting(self, setting: str) -> str:
        rows = self.report.get(setting, {})
        paper = self.report.get("paper", {}).get(setting, {})
        metrics = _metrics([*rows.values(), *paper.values()])
        if not rows or not metrics:
            return ""
        hits = sum(kind == "hit" for kind, _ in metrics)
        group = '<th scope="colgroup" colspan="{}">{}</th>'.format
        head = group(hits, "flat hit@k, %") if hits else ""
        head += group(len(metrics) - hits, "hierarchical precision@k") if hits < len(metrics) else ""
        ks = "".join(
            f'<th scope="col"{" class=first" if i in (0, hits) else ""}>{kind}@{k}</th>'
            for i, (kind, k) in enumerate(metrics)
        )
        columns = [(f"{kind}@{k}", kind == "hp") for kind, k in metrics]
        cells = self._figure_columns(setting, columns, rows)
        lines = [f"<tr>{self._model_head(model)}{''.join(cells[model])}</tr>" for model in self._sorted(rows)]
        body = f"<tbody>{''.join(lines)}</tbody>"
        if paper:
            lines = [
                f'<tr><th scope="row">{self._title(model)}</th>'
                + "".join(f"<td>{_figure(paper[model].get(metric), hp)}</td>" for metric, hp in columns)
                + "</tr>"
                for model in paper
            ]
            body += (
                f'<tbody class="paper"><tr><th scope="rowgroup" colspan="{len(columns) + 1}">the paper’s figures '
                f"(Frome et al., 2013)</th></tr>{''.join(lines)}</tbody>"
            )
        counted = []
        if setting in self.report.get("images", {}):
            counted.append(_plural(self.report["images"][setting], "image"))
        if setting in self.report.get("labels", {}):
            counted.append(_plural(self.report["labels"][setting]["candidates"], "candidate"))
        caption = f"<caption>{', '.join(counted)}</caption>" if counted else ""
        table = (
            f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{setting}-title">'
            f'<table class="figures">{caption}<thead><tr><td></td>{head}</tr><tr><th scope="col">model</th>{ks}</tr>'
            f"</thead>{body}</table></div>"
        )
        hints = []
        if setting == next(name for name in _SETTINGS if name in self.report):
            if hits:
                hints.append("Hit@k: share of the images whose label is among the first k answers.")
            if hits < len(metrics):
                hints.append(
                    "Hierarchical precision@k: share of the first k answers that are among the labels nearest to the "
                    "true one in the hierarchy."
                )
        if any("<b>" in cell for row in cells.values() for cell in row):
            hints.append("Bold: its interval lies above those of all other models.")
        hints = [" ".join(hints)] if hints else []
        for model, values in self.report.get("seeds", {}).get(setting, {}).items():
            if len(values.get("hit@1", ())) > 1:
                low, high = (_figure(bound(values["hit@1"])) for bound in (min, max))
                count = len(values["hit@1"])
                hints.append(f"{self._title(model)}: mean of {count} seeds; hit@1 from {low} to {high} %.")
        return table + "".join(f'<p class="hint">{hint}</p>' for hint in hints)

    def _generalized(self) -> str:
        found = self.report.get("generalized", {})
        if not found:
            return ""
        rows = {
            model: {**row, **{f"penalized.{name}": value for name, value in (row.get("penalized") or {}).items()}}
            for model, row in found.items()
        }
        plain = self._figure_columns("generalized", [(name, False) for name in _GENERALIZED], rows)
        penalized = any(row.get("penalized") for row in found.values())
        after = {}
        if penalized:
            after = self._figure_columns("generalized", [(f"penalized.{name}", False) for name in _GENERALIZED], rows)
        area = any("area" in row for row in found.values())
        lines = []
        for model in self._sorted(rows):
            cells = "".join(plain[model])
            if penalized:
                penalty = rows[model].get("penalized.penalty")
                cells += f"<td>{f'{penalty:.3g}' if _known(penalty) else '–'}</td>{''.join(after[model])}"
            if area:
                cells += f"<td>{_figure(rows[model].get('area'), hierarchical=True)}</td>"
            lines.append(f"<tr>{self._model_head(model)}{cells}</tr>")
        group = '<th scope="colgroup" colspan="{}">{}</th>'.format
        groups = [("as answered, %", _GENERALIZED)]
        groups += [("seen labels’ scores less a penalty, %", ("penalty", *_GENERALIZED))] if penalized else []
        groups += [("all penalties", ("area",))] if area else []
        head = "".join(group(len(names), title) for title, names in groups)
        columns = "".join(
            f'<th scope="col"{"" if i else " class=first"}>{name}</th>'
            for _, names in groups
            for i, name in enumerate(names)
        )
        return (
            '<div class="scroll" tabindex="0" role="region" aria-labelledby="generalized-title"><table class="figures">'
            "<caption>Accuracy on seen and on unseen labels, all of them candidates</caption>"
            f'<thead><tr><td></td>{head}</tr><tr><th scope="col">model</th>{columns}</tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div>"
            '<p class="hint">Accuracy: hit@1 of each label, averaged over labels. Harmonic: the harmonic mean of both '
            "accuracies, which is high only if both are."
            f"{' Area: under the curve of seen against unseen accuracy.' if area else ''}</p>"
        )

    def _differences(self) -> str:
        settings: dict[str, list[Mapping]] = {}
        for row in self.report.get("differences", ()):
            if _known(row.get("difference")):
                settings.setdefault(row["setting"], []).append(row)
        if not settings:
            return ""
        columns = ("metric", "models", "difference", "95 % interval", "about zero")
        bodies = []
        for setting, rows in settings.items():
            title = _SETTINGS[setting][0] if setting in _SETTINGS else setting.capitalize()
            bounds = [row.get(name) for row in rows for name in ("low", "high", "difference")]
            reach = max(abs(bound) for bound in bounds if _known(bound)) or 1.0
            bodies.append(
                f'<tbody><tr><th scope="rowgroup" colspan="{len(columns)}">{_escape(title)}</th></tr>'
                f"{''.join(self._difference(row, reach) for row in rows)}</tbody>"
            )
        tall = " tall" if sum(map(len, settings.values())) > 25 else ""
        return (
            f'<div class="scroll{tall}" tabindex="0" role="region" aria-labelledby="differences-title">'
            '<table class="figures differences"><thead><tr>'
            + "".join(f'<th scope="col">{name}</th>' for name in columns)
            + f"</tr></thead>{''.join(bodies)}</table></div>"
            '<p class="hint">Paired: both models answer for the same images. Percentage points, and shares for hp@k. '
            "Bold: the interval does not hold zero. The pictures of a setting have one scale.</p>"
        )

    def _difference(self, row: Mapping, reach: float) -> str:
        """A row of the table of differences; the picture goes from `-reach` to `reach`."""
        difference, low, high = (row.get(name) for name in ("difference", "low", "high"))
        hierarchical = row["metric"].startswith("hp")
        figure, interval, clear = _signed(difference, hierarchical), "–", False
        if _known(low) and _known(high):
            interval = f"{_signed(low, hierarchical)} to {_signed(high, hierarchical)}"
            clear = low > 0 or high < 0
        else:
            low = high = difference
        x = [_number(120 + 115 * value / reach) for value in (low, difference, high)]
        metric = row["metric"]
        if metric.startswith("penalized."):
            metric = metric.removeprefix("penalized.") + ", with penalty"
        return (
            f"<tr><td>{_escape(metric)}</td><td>{self._title(row['model'])} − {self._title(row['minus'])}</td>"
            f"<td>{f'<b>{figure}</b>' if clear else figure}</td><td>{interval}</td>"
            '<td><svg class="forest" viewBox="0 0 240 16" width="240" height="16" aria-hidden="true">'
            f'<line class="zero" x1="120" y1="0" x2="120" y2="16"/><g{" class=clear" if clear else ""}>'
            f'<line class="bar" x1="{x[0]}" y1="8" x2="{x[2]}" y2="8"/><circle cx="{x[1]}" cy="8" r="3"/></g></svg>'
            "</td></tr>"
        )

    def _curves(self) -> str:
        curves = {setting: rows for setting, rows in self.details.curves.items() if setting in _SETTINGS and rows}
        figures = [self._curve_panel(setting, curves[setting]) for setting in _SETTINGS if setting in curves]
        figures = [figure for figure in figures if figure]
        models = {model for rows in curves.values() for model in rows} if figures else set()
        trade = self._trade_panel()
        if trade:
            figures.append(trade)
            models |= set(self.details.generalized_curve)
        if not figures:
            return ""
        return f'{self._legend(models)}<div class="panels">{"".join(figures)}</div>'

    def _curve_panel(self, setting: str, rows: Mapping[str, Sequence[float]]) -> str:
        """hit@k against k, k on a logarithmic scale."""
        rows = {model: np.asarray(values, float) for model, values in rows.items() if len(values)}
        longest = max(map(len, rows.values()), default=0)
        if not longest:
            return ""
        ks = np.arange(1, longest + 1)
        if longest > 60:
            ks = np.unique(np.concatenate([ks[:20], np.geomspace(20, longest, 60).round().astype(int)]))
        shown = {model: values[ks[ks <= len(values)] - 1] for model, values in rows.items()}
        finite = [value for values in shown.values() for value in values if _known(value)]
        chart = _Chart(max(finite, default=0.0), math.log(longest) or 1.0)
        x_ticks = [(math.log(k), f"{k:,}") for k in _decades(longest)]
        parts = [chart.axes(x_ticks, "k", "hit@k, %")]
        ends = {}
        drawn = self._sorted(shown)[::-1]
        for i, model in enumerate(drawn):
            points = [(math.log(k), value) for k, value in zip(ks, shown[model], strict=False) if _known(value)]
            if not points:
                continue
            ends[model] = chart.y(points[-1][1])
            bars = []
            for k in (1, 5, 20):
                interval = self._interval(setting, model, f"hit@{k}")
                if k <= longest and interval:
                    # Each model's bar a little beside the next one's, so that none hides another.
                    x = chart.x(math.log(k)) + 2.5 * (i - (len(drawn) - 1) / 2)
                    bars.append(chart.bar(x, *interval))
            parts.append(
                f'<g class="{self._style(model)}"><title>{self._title(model)}</title>{chart.line(points)}'
                f"{''.join(bars)}</g>"
            )
        parts += self._direct_labels(chart, ends)
        self.panels.append(
            {
                "id": f"curve-{setting}",
                "left": chart.left,
                "right": chart.right,
                "ks": ks.tolist(),
                "models": [
                    {
                        "name": self._plain_title(model),
                        "style": self._style(model),
                        "values": [_figure(value) for value in shown[model]],
                    }
                    for model in drawn[::-1]
                ],
            }
        )
        title = _SETTINGS[setting][0]
        return (
            f'<figure class="panel" id="curve-{setting}"><figcaption>{title}</figcaption>'
            f"{chart.svg(parts, f'hit@k against k: {title}')}</figure>"
        )

    def _direct_labels(self, chart: "_Chart", ends: Mapping[str, float]) -> list[str]:
        """Names at the right ends of lines, moved apart, with a thin line to the end of the line that each names."""
        models = sorted(ends, key=ends.get)
        places = _apart([ends[model] for model in models], 13, chart.top + 4, chart.bottom)
        return [
            f'<g class="{self._style(model)}"><line class="lead" x1="{chart.right + 10}" y1="{_number(ends[model])}" '
            f'x2="{chart.right + 17}" y2="{_number(place)}"/><text class="direct" x="{chart.right + 20}" '
            f'y="{_number(place + 4)}">{self._title(model, 18)}</text></g>'
            for model, place in zip(models, places, strict=True)
        ]

    def _trade_panel(self) -> str:
        """Accuracy on seen labels against that on unseen labels, over all penalties."""
        curves = {}
        for model, (seen, unseen) in self.details.generalized_curve.items():
            pairs = [(float(u), float(s)) for s, u in zip(seen, unseen, strict=True) if _known(s) and _known(u)]
            if len(pairs) > 200:
                pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, 200).round().astype(int)]
            if pairs:
                curves[model] = pairs
        if not curves:
            return ""
        found = self.report.get("generalized", {})
        marked = {
            model: [
                (row["unseen"], row["seen"], mark)
                for row, mark in (
                    (found.get(model), _Chart.circle),
                    ((found.get(model) or {}).get("penalized"), _Chart.diamond),
                )
                if row and _known(row.get("unseen")) and _known(row.get("seen"))
            ]
            for model in curves
        }
        every = [pair for pairs in curves.values() for pair in pairs]
        every += [(x, y) for marks in marked.values() for x, y, _ in marks]
        x_ticks = _ticks(max(x for x, _ in every))
        chart = _Chart(max(y for _, y in every), x_ticks[-1])
        x_texts = [(x, _percent(x)) for x in x_ticks]
        parts = [chart.axes(x_texts, "accuracy on unseen labels, %", "accuracy on seen labels, %")]
        for harmonic in x_ticks[1:]:
            # seen = H unseen / (2 unseen - H), from where it enters at the top to the right edge.
            start = harmonic * chart.y_most / (2 * chart.y_most - harmonic) if 2 * chart.y_most > harmonic else math.inf
            if start < 0.98 * chart.x_most:
                xs = np.geomspace(start, chart.x_most, 40)
                line = [(x, harmonic * x / (2 * x - harmonic)) for x in xs]
                parts.append(
                    f'<g class="iso">{chart.line(line)}<text x="{_number(chart.x(start))}" y="{chart.top - 4}" '
                    f'text-anchor="middle">H {_percent(harmonic)}</text></g>'
                )
        places = {model: [(chart.x(x), chart.y(y)) for x, y in pairs] for model, pairs in curves.items()}
        taken: list[tuple[float, float]] = []
        for model in self._sorted(curves)[::-1]:
            marks = [mark(chart, x, y) for x, y, mark in marked[model]]
            x, y = max(places[model][::8], key=lambda place: _room(place, model, places, taken))
            taken.append((x, y))
            parts.append(
                f'<g class="{self._style(model)}"><title>{self._title(model)}</title>{chart.line(curves[model])}'
                f'{"".join(marks)}<text class="direct" x="{_number(x + 8)}" y="{_number(y - 5)}">'
                f"{self._title(model, 18)}</text></g>"
            )
        hint = "Each point of a line is one penalty on the scores of seen labels. "
        if any(marked.values()):
            hint += "Circle: no penalty; diamond: the chosen one. "
        hint += "Grey: equal harmonic mean H."
        return (
            '<figure class="panel" id="curve-generalized"><figcaption>Seen against unseen labels, all candidates'
            f"</figcaption>{chart.svg(parts, 'accuracy on seen against accuracy on unseen labels')}"
            f'<p class="hint">{hint}</p></figure>'
        )

    def _samples(self) -> str:
        most = int(MAX_SAMPLES * self.share)
        cards = []
        for sample in self.details.samples[:most]:
            columns = []
            for model in self._sorted(sample.answers):
                answers = []
                for label, score in list(sample.answers[model])[:_ANSWERS]:
                    kind, sign, said = "", "", ""
                    if label == sample.label_id:
                        kind, sign, said = ' class="right"', "✓", "the true label: "
                    elif label in sample.correct:
                        kind, sign, said = ' class="near"', "≈", "near the true label: "
                    score = f"{score:.2f}" if _known(score) else "–"
                    answers.append(
                        f'<li{kind}><i aria-hidden="true">{sign}</i><span class="said">{said}</span>'
                        f'{self._label(label)}<span class="score">{score.replace("-", "−")}</span></li>'
                    )
                columns.append(
                    f'<div><h4><i class="dot {self._style(model)}"></i>{self._title(model)}</h4>'
                    f"<ol>{''.join(answers)}</ol></div>"
                )
            picture = base64.b64encode(sample.image_jpeg).decode()
            kind = "seen" if sample.seen else "unseen"
            cards.append(
                f'<article class="sample"><div class="photo"><img src="data:image/jpeg;base64,{picture}" '
                f'alt="An image of {self._name(sample.label_id)}"><h3>{self._label(sample.label_id)}</h3>'
                f'<span class="kind {kind}">{kind}</span></div>{"".join(columns)}</article>'
            )
        left_out = len(self.details.samples) - len(cards)
        if not self.details.samples:
            return ""
        hint = (
            "The first five answers of each model and their scores. ✓ is the true label, ≈ a label near it in the "
            "hierarchy."
        )
        if left_out:
            hint += f" {_plural(left_out, 'more sample')} would not fit in the page."
        return f'<p class="hint">{hint}</p><div class="samples">{"".join(cards)}</div>'

    def _map(self) -> str:
        found, most = self.details.map, int(MAX_POINTS * self.share)
        if found is None or not len(found.ids):
            return ""
        rows = np.arange(len(found.ids))
        if len(rows) > most:
            rows = np.linspace(0, len(found.ids) - 1, most).round().astype(int)
        if not len(rows):
            return '<p class="hint">It would not fit in the page.</p>'
        width, height, margin = 960, 640, 24
        points = found.points[rows]
        low, reach = points.min(axis=0), np.ptp(points, axis=0)
        points = (points - low) / np.where(reach > 0, reach, 1)
        points = points * (width - 2 * margin, 2 * margin - height) + (margin, height - margin)
        sizes = Counter(found.groups[i] for i in rows)
        named = sorted((group for group in sizes if group != "other"), key=lambda group: (-sizes[group], group))
        style = {group: i for i, group in enumerate(named[: len(_GROUPS)])}
        members: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            members.setdefault(style.get(found.groups[row], len(_GROUPS)), []).append(place)
        radius = float(np.clip(math.sqrt(5000 / len(rows)), 2.2, 5.5))
        layers, legend = [], []
        for group in sorted(members, reverse=True):  # the grey ones below
            marks = []
            for place in members[group]:
                row, (x, y) = rows[place], points[place]
                kind = "seen" if found.seen[row] else "unseen"
                title = f"<title>{self._name(found.ids[row])} ({kind}; {_escape(found.groups[row], 40)})</title>"
                marks.append(
                    f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}">{title}</circle>'
                    if found.seen[row]
                    else f'<path d="{_diamond(x, y, 1.5 * radius)}">{title}</path>'
                )
            layers.append(f'<g class="g{group}">{"".join(marks)}</g>')
        for group in sorted(members):
            name = named[group] if group < len(_GROUPS) else "other"
            legend.append(
                f'<li class="g{group}" data-group="g{group}"><i class="dot"></i>{_escape(name, 40)} '
                f'<span class="soft">{len(members[group]):,}</span></li>'
            )
        names = [_clip(self.details.names.get(found.ids[row], found.ids[row]), 26) for row in rows]
        texts = "".join(
            f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}">{html.escape(names[place])}</text>'
            for place, x, y, anchor in _placed_names(points, names, (width, height))
        )
        every = max(len(found.ids), len(self.details.label_rows))
        shown = _plural(len(rows), "label") if len(rows) == every else f"{len(rows):,} of {_plural(every, 'label')}"
        shapes = "Circles are seen labels, diamonds unseen ones. " if not all(found.seen[i] for i in rows) else ""
        return (
            f'<p class="hint">{shown} by t-SNE: labels whose vectors have a large cosine lie together. {shapes}'
            "Colours are branches of the hierarchy; a point’s name is shown under the pointer.</p>"
            '<figure class="map"><div class="scroll" tabindex="0" role="region" aria-labelledby="map-title">'
            f'<svg id="label-map" viewBox="0 0 {width} {height}" role="img" aria-label="Map of the label vectors">'
            f'{"".join(layers)}<g class="names">{texts}</g></svg></div>'
            f'<ul class="legend" id="map-legend">{"".join(legend)}</ul></figure>'
        )

    def _confusions(self) -> str:
        tables = []
        for model in self._sorted(model for model, rows in self.details.confusions.items() if rows):
            lines = []
            for true, answered, images, cosine in list(self.details.confusions[model])[:_MAX_CONFUSIONS]:
                cosine = f"{cosine:.2f}".replace("-", "−") if _known(cosine) else "–"
                lines.append(
                    f"<tr><td>{self._label(true)}</td><td>{self._label(answered)}</td><td>{images:,}</td>"
                    f"<td>{cosine}</td></tr>"
                )
            tables.append(
                f'<div class="scroll"><table class="confusions"><caption><i class="dot {self._style(model)}"></i>'
                f'{self._title(model)}</caption><thead><tr><th scope="col">true label</th><th scope="col">answered</th>'
                f'<th scope="col">images</th><th scope="col">cosine</th></tr></thead><tbody>{"".join(lines)}</tbody>'
                "</table></div>"
            )
        if not tables:
            return ""
        return (
            '<p class="hint">The most frequent wrong first answers, and the cosine of both labels’ vectors: how near '
            f'the wrong label is in the word-vector space.</p><div class="side-by-side">{"".join(tables)}</div>'
        )

    def _labels(self) -> str:
        every = sorted(self.details.label_rows, key=lambda row: -row.images)
        rows = every[: int(MAX_ROWS * self.share)]
        if not every:
            return ""
        if not rows:
            return '<p class="hint">They would not fit in the page.</p>'
        models = self._sorted({model for row in every for model in row.hits})
        columns = [
            (model, f"{kind}@{k}")
            for model in models
            for kind, k in _metrics(row.hits[model] for row in every if model in row.hits)
        ]
        spans = Counter(model for model, _ in columns)
        lines = []
        for row in rows:
            hits = "".join(
                f"<td>{_figure(row.hits.get(model, {}).get(metric), metric.startswith('hp'))}</td>"
                for model, metric in columns
            )
            terms = _escape("; ".join(term.replace("_", " ") for term in row.terms), 120)
            lines.append(
                f'<tr><th scope="row"><bdi>{self._name(row.label_id)}</bdi></th><td>{_escape(row.label_id, 60)}</td>'
                f"<td><bdi>{terms}</bdi></td><td>{'seen' if row.seen else 'unseen'}</td><td>{row.images:,}</td>"
                f"<td>{_escape(row.found, 40)}</td>{hits}</tr>"
            )
        plain = [("label", "text"), ("id", "text"), ("terms", "text"), ("trained", "text"), ("images", "number"),
                 ("vector", "text")]  # fmt: skip
        head = "".join(f'<th scope="col" data-sort="{kind}">{name}</th>' for name, kind in plain)
        head += "".join(f'<th scope="col" data-sort="number">{metric}</th>' for _, metric in columns)
        groups = f'<td colspan="{len(plain)}"></td>' + "".join(
            f'<th scope="colgroup" colspan="{spans[model]}"><i class="dot {self._style(model)}"></i>'
            f"{self._title(model)}</th>"
            for model in models
            if spans[model]
        )
        hint = "Every label with its own figures"
        if len(rows) < len(every):
            hint = (
                f"The {len(rows):,} labels with the most images, of {len(every):,}; the tables above are of all of them"
            )
        hint += ". Hit@k in per cent; vector: how the label’s vector was found."
        return (
            f'<p class="hint">{hint}</p><p class="filter" hidden><label for="filter">Filter</label> '
            '<input id="filter" type="search" autocomplete="off" placeholder="name, term or id"> '
            '<span id="filtered" class="soft" role="status"></span></p>'
            '<div class="scroll tall" tabindex="0" role="region" aria-labelledby="labels-title">'
            f'<table id="label-rows"><thead><tr>{groups}</tr><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
            '</table></div><p class="hint print-only">In print: the first rows.</p>'
        )

    def _coverage(self) -> str:
        found = self.report.get("coverage", {})
        names = [name for name in _COVERAGE if name in found]
        total = sum(found[name] for name in names)
        if not total:
            return ""
        images = found.get("images", {})
        all_images = sum(images.get(name, 0) for name in names)
        lines = []
        for name in names:
            share = 100 * found[name] / total
            cells = f"<td>{found[name]:,}</td><td>{share:.1f}</td>"
            if all_images:
                cells += f"<td>{images.get(name, 0):,}</td><td>{100 * images.get(name, 0) / all_images:.1f}</td>"
            lines.append(
                f'<tr><th scope="row">{_COVERAGE[name]}</th>{cells}<td><svg class="share" viewBox="0 0 100 10" '
                'width="100" height="10" aria-hidden="true"><rect class="track" width="100" height="10"/>'
                f'<rect class="part" width="{_number(share)}" height="10"/></svg></td></tr>'
            )
        head = ["vector of the label", "labels", "%", *(("images", "%") if all_images else ())]
        head = "".join(f'<th scope="col">{name}</th>' for name in head)
        lists = []
        for name, ids in found.get("listed", {}).items():
            if ids:
                shown = ", ".join(
                    f'<span><bdi>{self._name(label)}</bdi> <span class="soft">{_escape(label, 60)}</span></span>'
                    for label in ids[:_MAX_LISTED]
                )
                count = max(len(ids), found.get(name, 0))
                left_out = count - min(len(ids), _MAX_LISTED)
                more = f" and {left_out:,} more" if left_out else ""
                lists.append(
                    f"<details><summary>{_escape(_COVERAGE.get(name, name)).capitalize()}: "
                    f"{_plural(count, 'label')}</summary><p>{shown}{more}</p></details>"
                )
        return (
            f'<div class="scroll"><table class="figures coverage"><thead><tr>{head}<td></td></tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div>{''.join(lists)}"
        )

    def _notes(self) -> str:
        notes = "".join(f"<li>{_escape(note)}</li>" for note in self.report.get("notes", ()))
        return f"<ul>{notes}</ul>" if notes else ""


class _Chart:
    """A plane with axes from 0: figures are shares, shown in per cent."""

    width, height = 512, 324
    left, right, top, bottom = 44, 364, 16, 276

    def __init__(self, y_most: float, x_most: float):
        self.y_ticks = _ticks(y_most)
        self.y_most, self.x_most = self.y_ticks[-1], x_most

    def x(self, value: float) -> float:
        return self.left + (self.right - self.left) * value / self.x_most

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * value / self.y_most

    def axes(self, x_ticks: Sequence[tuple[float, str]], x_title: str, y_title: str) -> str:
        parts = []
        for value in self.y_ticks:
            y = _number(self.y(value))
            parts.append(f'<line class="grid" x1="{self.left}" y1="{y}" x2="{self.right}" y2="{y}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 7}" y="{y}" dy=".35em" text-anchor="end">{_percent(value)}</text>'
            )
        for value, text in x_ticks:
            x = _number(self.x(value))
            parts.append(f'<line class="axis" x1="{x}" y1="{self.bottom}" x2="{x}" y2="{self.bottom + 5}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{self.bottom + 18}" text-anchor="middle">{text}</text>')
        middle = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        parts.append(
            f'<line class="axis" x1="{self.left}" y1="{self.bottom}" x2="{self.right}" y2="{self.bottom}"/>'
            f'<text class="tick" x="{middle[0]}" y="{self.bottom + 38}" text-anchor="middle">{x_title}</text>'
            f'<text class="tick" transform="translate(11 {middle[1]}) rotate(-90)" text-anchor="middle">'
            f"{y_title}</text>"
            f'<line class="cross" x1="0" y1="{self.top}" x2="0" y2="{self.bottom}" visibility="hidden"/>'
        )
        return "".join(parts)

    def line(self, points: Iterable[tuple[float, float]]) -> str:
        points = [f"{_number(self.x(x))} {_number(self.y(y))}" for x, y in points]
        # A single point is drawn as a dot, by its round ends.
        return f'<path class="line" d="M{"L".join(points if len(points) > 1 else points * 2)}"/>'

    def bar(self, x: float, low: float, high: float) -> str:
        low, high = _number(self.y(low)), _number(self.y(high))
        return f'<path class="interval" d="M{_number(x)} {low}V{high}m-2.5 0h5M{_number(x - 2.5)} {low}h5"/>'

    def circle(self, x: float, y: float) -> str:
        return f'<circle class="mark" cx="{_number(self.x(x))}" cy="{_number(self.y(y))}" r="4.5"/>'

    def diamond(self, x: float, y: float) -> str:
        return f'<path class="mark" d="{_diamond(self.x(x), self.y(y), 6.5)}"/>'

    def svg(self, parts: Iterable[str], title: str) -> str:
        return (
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{title}">'
            f"{''.join(parts)}</svg>"
        )


def _diamond(x: float, y: float, radius: float) -> str:
    r = _number(radius)
    return f"M{_number(x)} {_number(y - radius)}l{r} {r}l-{r} {r}l-{r} -{r}z"


def _ticks(most: float) -> list[float]:
    """At most seven round figures from 0 to just above `most`."""
    most = max(most, 1e-3)
    size = 10.0 ** math.floor(math.log10(most / 6))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if 6 * size * factor >= most * (1 - 1e-9))
    return [i * step for i in range(math.ceil(most / step - 1e-9) + 1)]


def _decades(most: int) -> list[int]:
    """1, 2, 5, 10, 20, … up to `most`; of long scales only the powers of ten."""
    factors = (1, 2, 5) if most <= 300 else (1,)
    return [f * 10**i for i in range(len(str(most))) for f in factors if f * 10**i <= most]


def _apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places in rising order moved so that they are `gap` apart and, where there is room, between `low` and `high`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap if moved else low))
    limit = high
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - gap
    return moved


def _room(place: tuple[float, float], model: str, lines: Mapping[str, Sequence], taken: Sequence) -> float:
    """How far a name of some 90 by 12 px at the upper right of a place is from other lines and names."""
    x, y = place[0] + 50, place[1] - 9
    others = [point for other, points in lines.items() if other != model for point in points]
    others += [(u + 50, v - 9) for u, v in taken]
    return min((math.hypot(max(abs(u - x) - 45, 0), max(abs(v - y) - 6, 0)) for u, v in others), default=x)


def _placed_names(points: np.ndarray, names: Sequence[str], size: tuple[int, int]) -> list[tuple]:
    """Chooses names to print beside points far from each other, each where it hides no name and few points.

    Returns:
        `[(place among the points, x, y of the text, its anchor)]`.
    """
    chosen: list[tuple] = []
    boxes: list[tuple[float, float, float, float]] = []
    distances = np.linalg.norm(points - points.mean(axis=0), axis=1)
    most_hidden = len(points) // 500
    for _ in range(min(len(points), 4 * _MAX_NAMES)):
        if len(boxes) == _MAX_NAMES:
            break
        # Each next point is the one farthest from all those before it: the names are spread over the map.
        place = int(distances.argmax())
        x, y = points[place]
        distances = np.minimum(distances, np.hypot(*(points - points[place]).T))
        wide = sum(unicodedata.east_asian_width(character) in "WF" for character in names[place])
        length = 6.4 * (len(names[place]) - wide) + 12 * wide
        best = None
        for dx, dy, anchor, left in ((9, 4, "start", 9), (-9, 4, "end", -9 - length), (0, -9, "middle", -length / 2),
                                     (0, 18, "middle", -length / 2)):  # fmt: skip
            x0, y0, x1, y1 = x + left - 2, y + dy - 11, x + left + length + 2, y + dy + 4
            inside = 0 < x0 and 0 < y0 and x1 < size[0] and y1 < size[1]
            if inside and not any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in boxes):
                hidden = int(np.all((points > (x0, y0)) & (points < (x1, y1)), axis=1).sum())
                if hidden <= most_hidden and (best is None or hidden < best[0]):
                    best = hidden, (place, x + dx, y + dy, anchor), (x0, y0, x1, y1)
        if best:
            chosen.append(best[1])
            boxes.append(best[2])
    return chosen
