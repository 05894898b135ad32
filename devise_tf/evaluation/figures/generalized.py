"""Generalized zero-shot: accuracies over all candidates, and penalties on seen ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.integrate import trapezoid

from devise_tf.evaluation.figures.bootstrap import SAMPLES, bootstrap_means, interval
from devise_tf.evaluation.measure.measurement import GeneralizedOutcomes, Measurement

# Margins in rising order, and the accuracy of those up to each.
_Steps = tuple[np.ndarray, np.ndarray]
# All penalties at which an answer changes, and the steps of seen and of unseen labels.
_Curve = tuple[np.ndarray, _Steps, _Steps]


def summarize_generalized(
    measurement: Measurement, penalties: Mapping[str, float] | None, seed: int
) -> tuple[dict, dict]:
    """Per-class accuracies of seen and unseen labels, their harmonic mean and the area under the curve of both.

    Args:
        measurement: Measurement. What was measured.
        penalties: Mapping of float by model. What is taken from seen candidates' scores; see `choose_penalty`.
        seed: int. Of the bootstrap.

    Returns:
        `(figures, intervals)`, by model and name; `figures[model]["penalized"]` holds those with the penalty.
    """
    figures: dict[str, dict[str, Any]] = {}
    intervals: dict[str, dict[str, list[float]]] = {}
    for model in measurement.generalized["seen"]:
        figures[model], intervals[model] = _accuracies(measurement, model, 0.0, seed)
        figures[model]["area"] = float(np.mean([_area(*curve) for curve in _curves(measurement, model)]))
        if penalties and model in penalties:
            penalized, bounds = _accuracies(measurement, model, penalties[model], seed)
            figures[model]["penalized"] = {"penalty": penalties[model], **penalized}
            intervals[model] |= {f"penalized.{name}": value for name, value in bounds.items()}
    candidates = len(measurement.settings["unseen+seen"].candidate_ids)
    figures["chance"] = {"seen": 1 / candidates, "unseen": 1 / candidates, "harmonic": 1 / candidates}
    return figures, intervals


def choose_penalty(measurement: Measurement, model: str) -> float:
    """The penalty on seen candidates' scores that gives the best harmonic mean, over all that make a difference.

    Args:
        measurement: Measurement. Of labels that were held out to choose by, or of a part of the images.
        model: str. The model.

    Returns:
        float. The penalty; 0 for a model that cannot answer unseen labels.

    Reference:
        - Chao et al., 2016, An Empirical Study and Analysis of Generalized Zero-Shot Learning for Object Recognition
          in the Wild: calibrated stacking
    """
    curves = list(_curves(measurement, model))
    if not all(len(penalties) for penalties, _, _ in curves):
        return 0.0
    grid = np.unique(np.concatenate([penalties for penalties, _, _ in curves]))
    harmonic = np.mean([harmonic_mean(*_at(curve, grid)) for curve in curves], axis=0)
    best = np.flatnonzero(harmonic == harmonic.max())
    # In the middle between this and the next lead, where small differences change nothing.
    middle = best[len(best) // 2]
    return float((grid[middle] + grid[min(middle + 1, len(grid) - 1)]) / 2)


def generalized_curve(measurement: Measurement, model: str, points: int = 201) -> tuple[np.ndarray, np.ndarray]:
    """Per-class accuracies on seen and on unseen labels as the penalty rises, float [points] each, of all seeds."""
    curves = list(_curves(measurement, model))
    leads = np.concatenate([penalties for penalties, _, _ in curves])
    grid = np.quantile(leads, np.linspace(0, 1, points - 2)) if len(leads) else np.zeros(points - 2)
    grid = np.concatenate([[-np.inf], grid, [np.inf]])
    seen, unseen = np.mean([_at(curve, grid) for curve in curves], axis=0)
    return seen, unseen


def harmonic_mean(seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """`2 a b / (a + b)`, 0 where both are."""
    total = np.asarray(seen) + unseen
    return np.divide(2 * np.asarray(seen) * unseen, total, out=np.zeros_like(total, float), where=total > 0)


def generalized_difference(
    measurement: Measurement, model: str, minus: str, penalties: Mapping[str, float], seed: int = 0
) -> dict:
    """By how much a model's harmonic mean leads another one's, each with its penalty, with the 95 % interval."""
    drawn = [_drawn(measurement, [(name, penalties.get(name, 0.0)) for name in (model, minus)], seed)]
    seeds = len(measurement.generalized["seen"][model])
    harmonic = harmonic_mean(*drawn[0])
    values = harmonic[:, :seeds].mean(axis=1) - harmonic[:, seeds:].mean(axis=1)
    first, second = (_accuracies(measurement, name, penalties.get(name, 0.0), seed)[0] for name in (model, minus))
    low, high = interval(values)
    row = {"setting": "generalized", "metric": "penalized.harmonic", "model": model, "minus": minus}
    return {**row, "difference": first["harmonic"] - second["harmonic"], "low": low, "high": high}


def _accuracies(
    measurement: Measurement, model: str, penalty: float, seed: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Per-class accuracies and their harmonic mean, and their intervals."""
    seen, unseen = _drawn(measurement, [(model, penalty)], seed)
    names = ("seen", "unseen", "harmonic")
    intervals = [interval(drawn.mean(axis=1)) for drawn in (seen, unseen, harmonic_mean(seen, unseen))]
    curves = list(_curves(measurement, model))
    accuracies = np.array([_at(curve, np.array([penalty])) for curve in curves])[:, :, 0]
    means = [accuracies[:, 0].mean(), accuracies[:, 1].mean(), harmonic_mean(*accuracies.T).mean()]
    return dict(zip(names, map(float, means), strict=True)), dict(zip(names, intervals, strict=True))


def _drawn(measurement: Measurement, models: Sequence[tuple[str, float]], seed: int) -> list[np.ndarray]:
    """Bootstrapped per-class accuracies of all seeds of some models: seen and unseen, float [samples, seeds]."""
    drawn = []
    for stream, kind in enumerate(("seen", "unseen")):
        right = [
            _right(kind, outcomes, penalty)
            for model, penalty in models
            for outcomes in measurement.generalized[kind][model]
        ]
        # Other images are drawn independently: with one seed for both the two accuracies would rise and fall together.
        labels, seeds = measurement.labels[kind], (seed, stream)
        drawn.append(bootstrap_means(np.stack(right, axis=1), labels, samples=SAMPLES, seed=seeds))
    return drawn


def _right(kind: str, outcomes: GeneralizedOutcomes, penalty: float) -> np.ndarray:
    """Whether the true label is the first answer. Among equal scores the unseen one is: it stands first."""
    # In double precision, as in `_curves`: the middle between two leads may be no number of single precision.
    lead = outcomes.seen_lead.astype(np.float64)
    wins = lead > penalty if kind == "seen" else lead <= penalty
    return outcomes.right & wins


def _curves(measurement: Measurement, model: str) -> Iterator[_Curve]:
    """The curve of each seed."""
    seeds = [measurement.generalized[kind][model] for kind in ("seen", "unseen")]
    for both in zip(*seeds, strict=True):
        steps = []
        for outcomes, labels in zip(both, (measurement.labels["seen"], measurement.labels["unseen"]), strict=True):
            counts = np.bincount(labels)
            weights = outcomes.right / counts[labels] / np.count_nonzero(counts)
            order = np.argsort(outcomes.seen_lead, kind="stable")
            leads = outcomes.seen_lead[order].astype(np.float64)
            steps.append((leads, np.concatenate([[0], np.cumsum(weights[order])])))
        leads = np.concatenate([lead for lead, _ in steps])
        yield np.unique(leads[np.isfinite(leads)]), steps[0], steps[1]


def _at(curve: _Curve, penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-class accuracies on seen and unseen labels at penalties."""
    _, (seen_leads, seen), (unseen_leads, unseen) = curve
    above = seen[-1] - seen[np.searchsorted(seen_leads, penalties, side="right")]
    return above, unseen[np.searchsorted(unseen_leads, penalties, side="right")]


def _area(penalties: np.ndarray, seen_steps: _Steps, unseen_steps: _Steps) -> float:
    """Area under the curve of seen against unseen accuracy."""
    grid = np.concatenate([[-np.inf], penalties, [np.inf]])
    seen, unseen = _at((penalties, seen_steps, unseen_steps), grid)
    return float(trapezoid(unseen[::-1], seen[::-1]))
