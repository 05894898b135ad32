"""What the page shows of single labels: confusions, figures of each, how their vectors were found."""

from collections import Counter
from collections.abc import Mapping, Sequence

from devise_tf.evaluation.figures import metrics
from devise_tf.evaluation.figures.label_figures import LabelRow
from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.looks import Looks
from devise_tf.evaluation.report.html.text import (
    escape,
    figure,
    label_element,
    label_name,
    number,
    plural,
    score,
)
from devise_tf.evaluation.report.models import in_order

_MAX_CONFUSIONS = 15
_MAX_LISTED = 300
_COVERAGE = {
    "first_whole": "first term whole",
    "other_whole": "another term whole",
    "composed": "composed from words",
    "missing": "missing",
}
# The columns before those of the models, and what they are sorted as.
_COLUMNS = {
    "label": "text", "id": "text", "terms": "text", "trained": "text", "images": "number", "vector": "text",
}  # fmt: skip


def confusions_section(details: ReportDetails, looks: Looks) -> str:
    """A table for each model."""
    tables = []
    for model in in_order(model for model, rows in details.confusions.items() if rows):
        lines = [
            f"<tr><td>{label_element(details.names, true)}</td><td>{label_element(details.names, answered)}</td>"
            f"<td>{images:,}</td><td>{score(cosine)}</td></tr>"
            for true, answered, images, cosine in details.confusions[model][:_MAX_CONFUSIONS]
        ]
        tables.append(
            f'<div class="scroll"><table class="confusions"><caption>{looks.dot(model)}</caption><thead><tr>'
            '<th scope="col">true label</th><th scope="col">answered</th><th scope="col">images</th>'
            f'<th scope="col">cosine</th></tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        )
    if not tables:
        return ""
    return (
        '<p class="hint">The most frequent wrong first answers, and the cosine of both labels’ vectors: how near '
        f'the wrong label is in the word-vector space.</p><div class="side-by-side">{"".join(tables)}</div>'
    )


def labels_section(rows: Sequence[LabelRow], names: Mapping[str, str], looks: Looks, most: int) -> str:
    """A table of the `most` labels with the most images."""
    shown = sorted(rows, key=lambda row: -row.images)[:most]
    if not rows:
        return ""
    if not shown:
        return '<p class="hint">They would not fit in the page.</p>'
    columns = [
        (model, column)
        for model in in_order({model for row in rows for model in row.hits})
        for column in metrics.columns(row.hits[model] for row in rows if model in row.hits)
    ]
    spans = Counter(model for model, _ in columns)
    lines = []
    for row in shown:
        hits = "".join(
            f"<td>{figure(row.hits.get(model, {}).get(column.name), column.metric.format)}</td>"
            for model, column in columns
        )
        terms = escape("; ".join(term.replace("_", " ") for term in row.terms), 120)
        lines.append(
            f'<tr><th scope="row"><bdi>{label_name(names, row.label_id)}</bdi></th><td>{escape(row.label_id, 60)}</td>'
            f"<td><bdi>{terms}</bdi></td><td>{'seen' if row.seen else 'unseen'}</td><td>{row.images:,}</td>"
            f"<td>{escape(row.vector, 40)}</td>{hits}</tr>"
        )
    head = "".join(f'<th scope="col" data-sort="{kind}">{name}</th>' for name, kind in _COLUMNS.items())
    head += "".join(f'<th scope="col" data-sort="number">{column.name}</th>' for _, column in columns)
    groups = "".join(
        f'<th scope="colgroup" colspan="{count}">{looks.dot(model)}</th>' for model, count in spans.items()
    )
    hint = "Every label with its own figures"
    if len(shown) < len(rows):
        hint = f"The {len(shown):,} labels with the most images, of {len(rows):,}; the tables above are of all of them"
    return (
        f'<p class="hint">{hint}. Hit@k in per cent; vector: how the label’s vector was found.</p>'
        '<p class="filter" hidden><label for="filter">Filter</label> '
        '<input id="filter" type="search" autocomplete="off" placeholder="name, term or id"> '
        '<span id="filtered" class="soft" role="status"></span></p>'
        '<div class="scroll tall" tabindex="0" role="region" aria-labelledby="labels-title">'
        f'<table id="label-rows"><thead><tr><td colspan="{len(_COLUMNS)}"></td>{groups}</tr><tr>{head}</tr></thead>'
        f'<tbody>{"".join(lines)}</tbody></table></div><p class="hint print-only">In print: the first rows.</p>'
    )


def coverage_section(coverage: Mapping, names: Mapping[str, str]) -> str:
    """How the labels' vectors were found: counts, and the labels that are listed."""
    kinds = [kind for kind in _COVERAGE if kind in coverage]
    total = sum(coverage[kind] for kind in kinds)
    if not total:
        return ""
    images = coverage.get("images", {})
    all_images = sum(images.get(kind, 0) for kind in kinds)
    lines = []
    for kind in kinds:
        share = 100 * coverage[kind] / total
        cells = f"<td>{coverage[kind]:,}</td><td>{share:.1f}</td>"
        if all_images:
            cells += f"<td>{images.get(kind, 0):,}</td><td>{100 * images.get(kind, 0) / all_images:.1f}</td>"
        lines.append(
            f'<tr><th scope="row">{_COVERAGE[kind]}</th>{cells}<td><svg class="share" viewBox="0 0 100 10" '
            'width="100" height="10" aria-hidden="true"><rect class="track" width="100" height="10"/>'
            f'<rect class="part" width="{number(share)}" height="10"/></svg></td></tr>'
        )
    columns = ["vector of the label", "labels", "%", *(("images", "%") if all_images else ())]
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    lists = []
    for kind, ids in coverage.get("listed", {}).items():
        if ids:
            shown = ", ".join(
                f'<span><bdi>{label_name(names, label)}</bdi> <span class="soft">{escape(label, 60)}</span></span>'
                for label in ids[:_MAX_LISTED]
            )
            count = max(len(ids), coverage.get(kind, 0))
            unlisted = count - min(len(ids), _MAX_LISTED)
            more = f" and {unlisted:,} more" if unlisted else ""
            lists.append(
                f"<details><summary>{escape(_COVERAGE.get(kind, kind)).capitalize()}: "
                f"{plural(count, 'label')}</summary><p>{shown}{more}</p></details>"
            )
    return (
        f'<div class="scroll"><table class="figures coverage"><thead><tr>{head}<td></td></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{''.join(lists)}"
    )
