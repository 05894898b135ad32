"""Figures of single labels: curves over k, confusions, and a row for each label."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from devise_tf.evaluation.figures.metrics import HIT
from devise_tf.evaluation.measure.measurement import Measurement
from devise_tf.labels import LabelSet

_CONFUSIONS = 20


@dataclasses.dataclass
class LabelRow:
    """A row of the table of labels.

    Attributes:
        label_id: str. The label.
        terms: Sequence of str. Its terms.
        seen: bool. Whether it was trained.
        images: int. Number of images that were measured.
        vector: str. How its vector was found: `"whole"`, `"other term"`, `"composed"` or `"missing"`.
        hits: Mapping. For each model shares of these images, such as `{"hit@1": 0.4, "hit@5": 0.7}`.
    """

    label_id: str
    terms: Sequence[str]
    seen: bool
    images: int
    vector: str
    hits: Mapping[str, Mapping[str, float]]


def hit_curves(measurement: Measurement) -> dict[str, dict[str, list[float]]]:
    """hit@k for every k up to the largest, by setting and model."""
    curves: dict[str, dict[str, list[float]]] = {}
    for setting, models in measurement.outcomes.items():
        ks = range(1, max(measurement.ks[setting]) + 1)
        curves[setting] = {
            model: [float(np.mean([HIT.values(o, k, ks).mean() for o in outcomes])) for k in ks]
            for model, outcomes in models.items()
        }
    return curves


def confusions(
    measurement: Measurement, vectors: Mapping[str, np.ndarray]
) -> dict[str, list[tuple[str, str, int, float]]]:
    """The most frequent wrong first answers of each model, among the most candidates of each kind of image.

    Args:
        measurement: Measurement. What was measured.
        vectors: Mapping of array by label id. Label vectors of unit norm.

    Returns:
        `{model: [(true label, answered label, images, cosine of their label vectors)]}`, most frequent first.
    """
    rows: dict[str, list[tuple[str, str, int, float]]] = {}
    for setting in ("seen", "unseen+seen"):
        for model, outcomes in measurement.outcomes.get(setting, {}).items():
            answered = np.concatenate([one.first_answer for one in outcomes])
            for true, answer, count in _wrong_pairs(measurement, setting, answered):
                cosine = float(vectors[true] @ vectors[answer])
                rows.setdefault(model, []).append((true, answer, round(count / len(outcomes)), cosine))
    return {
        model: sorted(model_rows, key=lambda row: (-row[2], row[:2]))[:_CONFUSIONS]
        for model, model_rows in rows.items()
    }


def _wrong_pairs(measurement: Measurement, setting: str, answered: np.ndarray) -> list[tuple[str, str, int]]:
    """The most frequent pairs of a true label and a wrong answer; `answered` may be those of several seeds."""
    described = measurement.settings[setting]
    position = {label: i for i, label in enumerate(described.candidate_ids)}
    true = np.resize(measurement.labels[setting], len(answered)).astype(np.int64)
    wrong = (answered >= 0) & (answered != np.array([position[label] for label in described.label_ids])[true])
    pairs, counts = np.unique(true[wrong] * len(position) + answered[wrong], return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_CONFUSIONS]
    rows, answers = np.divmod(pairs[most], len(position))
    return [
        (described.label_ids[row], described.candidate_ids[answer], int(count))
        for row, answer, count in zip(rows, answers, counts[most], strict=True)
    ]


def label_rows(measurement: Measurement, labels: LabelSet, cases: Mapping[str, str]) -> list[LabelRow]:
    """A row for each label with images.

    Args:
        measurement: Measurement. What was measured.
        labels: LabelSet. The labels' terms.
        cases: Mapping of str by label id. How each vector was found, see `LabelCoverage.cases`.
    """
    rows = []
    for setting, seen in (("seen", True), ("unseen", False)):
        if setting not in measurement.settings:
            continue
        ids = measurement.settings[setting].label_ids
        counts = np.bincount(measurement.labels[setting], minlength=len(ids))
        shares = _hits_of_labels(measurement, setting, counts)
        for i, label in enumerate(ids):
            hits = {model: {m: float(values[i]) for m, values in row.items()} for model, row in shares.items()}
            terms = labels.terms[labels.index[label]]
            if counts[i]:
                rows.append(LabelRow(label, terms, seen, int(counts[i]), cases[label], hits))
    return rows


def _hits_of_labels(measurement: Measurement, setting: str, counts: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """For each model and metric the shares of each label's images, averaged over seeds: float [labels]."""
    labels, ks = measurement.labels[setting], measurement.ks[setting]

    def share(outcomes, k):
        hits = [np.bincount(labels, HIT.values(one, k, ks), len(counts)) for one in outcomes]
        return np.mean(hits, axis=0) / np.maximum(counts, 1)

    return {
        model: {f"{HIT.name}@{k}": share(outcomes, k) for k in (1, 5) if k in ks}
        for model, outcomes in measurement.outcomes[setting].items()
    }
