"""A report as one HTML page: tables and pictures in the page itself, so that it opens anywhere, without a network."""

import json
import os
import re
from collections.abc import Mapping

from devise_tf.evaluation.figures.claims import CANNOT_TELL, DOES_NOT, HOLDS, RULE
from devise_tf.evaluation.report.colors import page_styles
from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.curves import curves_section
from devise_tf.evaluation.report.html.label_map import map_section, map_styles
from devise_tf.evaluation.report.html.labels import confusions_section, coverage_section, labels_section
from devise_tf.evaluation.report.html.looks import Looks
from devise_tf.evaluation.report.html.samples import samples_section
from devise_tf.evaluation.report.html.tables import differences_section, generalized_section, setting_section
from devise_tf.evaluation.report.html.text import escape, plural
from devise_tf.evaluation.report.label_map import MAX_POINTS
from devise_tf.evaluation.report.models import SETTINGS

MAX_BYTES = 5_000_000
MAX_ROWS = 2000
MAX_SAMPLES = 48
_VERDICTS = {HOLDS: ("holds", "✓"), DOES_NOT: ("fails", "✗"), CANNOT_TELL: ("open", "?")}


def html_report(report: Mapping, details: ReportDetails) -> str:
    """The report as a page of at most 5 MB, which needs nothing but itself.

    Tables and pictures are HTML and SVG, so that the page is whole without JavaScript, which adds sorting, a filter
    and figures under the pointer. All text from data is escaped.

    Args:
        report: Mapping. What `metrics.json` holds. Every part but `"command"` may be absent.
        details: ReportDetails. What is shown of single labels and images: at most the 2,000 labels with the most
            images, 2,000 points and 48 samples, and fewer where the page would be too large; the page says so.

    Returns:
        The HTML text.
    """
    for share in (1.0, 0.5, 0.25, 0.1, 0.0):
        page = _page(report, details, share)
        if len(page.encode()) <= MAX_BYTES:
            break
    return page


def _page(report: Mapping, details: ReportDetails, share: float) -> str:
    """The page with `share` of the most rows, points and samples."""
    looks, names, rows = Looks(), details.names, details.label_rows
    curves, panels = curves_section(report, details, looks)
    sections = [
        ("claims", "Claims", _claims(report, looks)),
        *((setting, title, setting_section(report, setting, looks)) for setting, title in SETTINGS.items()),
        ("generalized", "Generalized zero-shot", generalized_section(report, looks)),
        ("differences", "Differences between models", differences_section(report, looks)),
        ("curves", "Curves", curves),
        ("samples", "Samples", samples_section(details.samples, names, looks, int(MAX_SAMPLES * share))),
        ("map", "Map of the label vectors", map_section(details.map, names, len(rows), int(MAX_POINTS * share))),
        ("confusions", "Confusions", confusions_section(details, looks)),
        ("labels", "Labels", labels_section(rows, names, looks, int(MAX_ROWS * share))),
        ("coverage", "Coverage of the labels", coverage_section(report.get("coverage", {}), names)),
        ("notes", "Notes", _notes(report)),
    ]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in sections)
    # Lines are broken between arguments, not after their dashes.
    command = re.sub(r"\S+", r"<span>\g<0></span>", escape(report["command"], 10_000))
    body = [
        f'<header>\n<h1>DeViSE: results</h1>\n<pre class="command"><code>{command}</code></pre>',
        f'<p class="measured">{_measured(report)}</p>',
        f'<nav aria-label="Parts of the report"><ul>{links}</ul></nav>\n</header>',
    ]
    body += [
        f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n<h2 id="{anchor}-title">{title}</h2>\n'
        f"{content}\n</section>"
        for anchor, title, content in sections
    ]
    light, dark = (models + groups for models, groups in zip(looks.styles(), map_styles(), strict=True))
    # In JSON only a string can hold a "<", and as \u003c no string of it ends the element.
    data = json.dumps({"panels": panels}, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "colors": "\n".join(page_styles()),
        "styles": "\n".join([*light, "@media screen and (prefers-color-scheme: dark) {", *dark, "}"]),
        "body": "\n".join(body),
        "data": data,
    }
    with open(os.path.join(os.path.dirname(__file__), "report.html"), encoding="utf-8") as file:
        template = file.read()
    # All at once: what is put in is not searched for more of them.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _measured(report: Mapping) -> str:
    """What was measured, in a few sentences."""
    parts = []
    for setting in SETTINGS:
        images, labels = report.get("images", {}).get(setting), report.get("labels", {}).get(setting)
        if setting in report and images is not None and labels:
            kind = setting.partition("+")[0]
            parts.append(
                f"{plural(images, 'image')} of {plural(labels['labels'], f'{kind} label')} against "
                f"{plural(labels['candidates'], 'candidate')}"
            )
    text = f"Every model answers for the same images: {'; '.join(parts)}. " if parts else ""
    if report.get("bad_images"):
        count = report["bad_images"]
        verb = "was left out: it" if count == 1 else "were left out: they"
        text += f"{plural(count, 'image')} {verb} could not be read. "
    if report.get("intervals"):
        text += "Small figures are 95 % bootstrap intervals."
    return text.strip()


def _claims(report: Mapping, looks: Looks) -> str:
    items = "".join(
        f"<li><p>{escape(claim['claim'])} ({looks.title(claim['model'])})</p>"
        f'<p class="soft">Test: {escape(claim["test"])}</p>'
        f"{''.join(_tested(way, result) for way, result in claim['answers'].items())}</li>"
        for claim in report.get("claims", ())
    )
    return f'<p class="hint">{escape(RULE)}</p><ul class="claims">{items}</ul>' if items else ""


def _tested(way: str, result: Mapping) -> str:
    """A claim's verdict and figures by one way of answering."""
    kind, sign = _VERDICTS.get(result["verdict"], ("open", "?"))
    return (
        f'<div class="tested {kind}"><span class="verdict"><b aria-hidden="true">{sign}</b> '
        f'{escape(result["verdict"])}</span><p class="soft">By {escape(way)}: {escape(result["figures"])}</p></div>'
    )


def _notes(report: Mapping) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.get("notes", ()))
    return f"<ul>{notes}</ul>" if notes else ""
