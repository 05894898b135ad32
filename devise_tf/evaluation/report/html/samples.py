"""Images with the models' answers, as in the paper's Figure 2."""

import base64
from collections.abc import Mapping, Sequence

from devise_tf.evaluation.measure.samples import Sample
from devise_tf.evaluation.report.html.looks import Looks
from devise_tf.evaluation.report.html.text import label_element, label_name, plural, score
from devise_tf.evaluation.report.models import in_order

_ANSWERS = 5


def samples_section(samples: Sequence[Sample], names: Mapping[str, str], looks: Looks, most: int) -> str:
    """A card for each of the first `most` samples."""
    if not samples:
        return ""
    hint = (
        "The first five answers of each model and their scores. ✓ is the true label, ≈ a label near it in the "
        "hierarchy."
    )
    if len(samples) > most:
        hint += f" {plural(len(samples) - most, 'more sample')} would not fit in the page."
    cards = "".join(_card(sample, names, looks) for sample in samples[:most])
    return f'<p class="hint">{hint}</p><div class="samples">{cards}</div>'


def _card(sample: Sample, names: Mapping[str, str], looks: Looks) -> str:
    columns = []
    for model in in_order(sample.answers):
        answers = []
        for label, value in sample.answers[model][:_ANSWERS]:
            kind, sign, said = "", "", ""
            if label == sample.label_id:
                kind, sign, said = ' class="right"', "✓", "the true label: "
            elif label in sample.correct:
                kind, sign, said = ' class="near"', "≈", "near the true label: "
            answers.append(
                f'<li{kind}><i aria-hidden="true">{sign}</i><span class="said">{said}</span>'
                f'{label_element(names, label)}<span class="score">{score(value)}</span></li>'
            )
        columns.append(f"<div><h4>{looks.dot(model)}</h4><ol>{''.join(answers)}</ol></div>")
    picture = base64.b64encode(sample.image_jpeg).decode()
    kind = "seen" if sample.seen else "unseen"
    return (
        f'<article class="sample"><div class="photo"><img src="data:image/jpeg;base64,{picture}" '
        f'alt="An image of {label_name(names, sample.label_id)}"><h3>{label_element(names, sample.label_id)}</h3>'
        f'<span class="kind {kind}">{kind}</span></div>{"".join(columns)}</article>'
    )
