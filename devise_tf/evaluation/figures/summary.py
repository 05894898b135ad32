"""From what was measured to figures: means, bootstrap intervals, differences, generalized zero-shot."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.integrate import trapezoid

from devise_tf.evaluation.figures.bootstrap import bootstrap_means, interval
from devise_tf.evaluation.measure.measurement import GeneralizedOutcomes, Measurement, Outcomes

SAMPLES = 1000


def metric_values(measurement: Measurement, setting: str, model: str, metric: str) -> np.ndarray:
    """A metric of each image, averaged over a model's seeds, float [n]: its mean is the model's figure.

    Args:
        measurement: What was measured.
        setting: Its setting.
        model: The model; `"chance"` gives what a random ranking gets, image by image.
        metric: `"hit@K"` or `"hp@K"`.
    """
    kind, _, k = metric.partition("@")
    k, labels = int(k), measurement.labels[setting]
    if model == "chance":
        candidates = len(measurement.settings[setting].candidate_ids)
        return (
            np.full(len(labels), k / candidates)
            if kind == "hit"
            else (measurement.correct_sizes[setting][k][labels] / candidates)
        )
    return np.mean(
        [_values(outcomes, kind, k, measurement.ks[setting]) for outcomes in measurement.outcomes[setting][model]],
        axis=0,
    )


def _values(outcomes: Outcomes, kind: str, k: int, ks: Sequence[int]) -> np.ndarray:
    return outcomes.first_hit <= k if kind == "hit" else outcomes.correct[:, ks.index(k)] / k


def metrics_of(measurement: Measurement, setting: str) -> list[str]:
    """The metrics of a setting, in the order of the tables."""
    ks = measurement.ks[setting]
    return [f"hit@{k}" for k in ks] + ([f"hp@{k}" for k in ks] if setting in measurement.correct_sizes else [])


def summarize(measurement: Measurement, penalties: Mapping[str, float] | None = None, seed: int = 0) -> dict:
    """All figures with their 95 % intervals.

    Args:
        measurement: What was measured.
        penalties: What is taken from seen candidates' scores, by model; see `choose_penalty`.
        seed: Of the bootstrap.

    Returns:
        `{setting: {model: {metric: share}}}` for each setting and, where there are images of both kinds,
        `"generalized"`; `"intervals"` of the same form with `[low, high]`, over images; and `"seeds"`, `{setting:
        {model: {metric: [share of each seed]}}}` for the models that have several.
    """
    report: dict = {"intervals": {}, "seeds": {}}
    for setting, models in measurement.outcomes.items():
        rows = report[setting] = {}
        intervals, seeds = report["intervals"].setdefault(setting, {}), report["seeds"].setdefault(setting, {})
        for model in [*models, "chance"]:
            for metric in metrics_of(measurement, setting):
                values = metric_values(measurement, setting, model, metric)
                rows.setdefault(model, {})[metric] = float(values.mean())
                if model != "chance":
                    means = bootstrap_means(values[:, None], samples=SAMPLES, seed=seed)
                    intervals.setdefault(model, {})[metric] = interval(means[:, 0])
                    if len(models[model]) > 1:
                        kind, _, k = metric.partition("@")
                        ks = measurement.ks[setting]
                        seeds.setdefault(model, {})[metric] = [
                            float(_values(outcomes, kind, int(k), ks).mean()) for outcomes in models[model]
                        ]
    if measurement.generalized:
        rows, intervals = report.setdefault("generalized", {}), report["intervals"].setdefault("generalized", {})
        for model in measurement.generalized["seen"]:
            rows[model], intervals[model] = _generalized(measurement, model, 0.0, seed)
            rows[model]["area"] = float(np.mean([_area(*curve) for curve in _curves(measurement, model)]))
            if penalties and model in penalties:
                penalized, its_intervals = _generalized(measurement, model, penalties[model], seed)
                rows[model]["penalized"] = {"penalty": penalties[model], **penalized}
                intervals[model] |= {f"penalized.{name}": value for name, value in its_intervals.items()}
        candidates = len(measurement.settings["unseen+seen"].candidate_ids)
        rows["chance"] = {"seen": 1 / candidates, "unseen": 1 / candidates, "harmonic": 1 / candidates}
    return report


def difference(
    measurement: Measurement,
    setting: str,
    metric: str,
    model: str,
    minus: str,
    minus_setting: str | None = None,
    minus_metric: str | None = None,
    seed: int = 0,
) -> dict:
    """By how much a model leads another one on the same images, with the 95 % interval of the difference.

    Args:
        measurement: What was measured.
        setting: The setting; that of the second model may be another one over the same images.
        metric: The metric; that of the second model may be another.
        model: The first model.
        minus: The second.
        minus_setting: Setting of the second.
        minus_metric: Metric of the second.
        seed: Of the bootstrap.

    Returns:
        `{"setting", "metric", "model", "minus", "difference", "low", "high"}`.
    """
    values = metric_values(measurement, setting, model, metric)
    values = values - metric_values(measurement, minus_setting or setting, minus, minus_metric or metric)
    low, high = interval(bootstrap_means(values[:, None], samples=SAMPLES, seed=seed)[:, 0])
    found = {"setting": setting, "metric": metric, "model": model, "minus": minus}
    return {**found, "difference": float(values.mean()), "low": low, "high": high}


# Generalized zero-shot


def choose_penalty(measurement: Measurement, model: str) -> float:
    """The penalty on seen candidates' scores that gives the best harmonic mean, over all that make a difference.

    Args:
        measurement: Of labels that were held out to choose by, or of a part of the images.
        model: The model.

    Returns:
        The penalty; 0 for a model that cannot answer unseen labels.

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
    # In the middle between this and the next margin, where small differences change nothing.
    at = best[len(best) // 2]
    return float((grid[at] + grid[min(at + 1, len(grid) - 1)]) / 2)


def generalized_curve(measurement: Measurement, model: str, points: int = 201) -> tuple[np.ndarray, np.ndarray]:
    """Per-class accuracies on seen and on unseen labels as the penalty rises, float [points] each, of all seeds."""
    curves = list(_curves(measurement, model))
    margins = np.concatenate([penalties for penalties, _, _ in curves])
    grid = np.quantile(margins, np.linspace(0, 1, points - 2)) if len(margins) else np.zeros(points - 2)
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
    first, second = (_generalized(measurement, name, penalties.get(name, 0.0), seed)[0] for name in (model, minus))
    low, high = interval(values)
    found = {"setting": "generalized", "metric": "penalized.harmonic", "model": model, "minus": minus}
    return {**found, "difference": first["harmonic"] - second["harmonic"], "low": low, "high": high}


def _generalized(measurement, model, penalty, seed):
    """Per-class accuracies and their harmonic mean, and their intervals."""
    seen, unseen = _drawn(measurement, [(model, penalty)], seed)
    names = ("seen", "unseen", "harmonic")
    intervals = [interval(drawn.mean(axis=1)) for drawn in (seen, unseen, harmonic_mean(seen, unseen))]
    curves = list(_curves(measurement, model))
    accuracies = np.array([_at(curve, np.array([penalty])) for curve in curves])[:, :, 0]
    means = [accuracies[:, 0].mean(), accuracies[:, 1].mean(), harmonic_mean(*accuracies.T).mean()]
    return dict(zip(names, map(float, means), strict=True)), dict(zip(names, intervals, strict=True))


def _drawn(measurement, models, seed):
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


def _right(kind: str, outcomes: GeneralizedOutcomes, penalty) -> np.ndarray:
    """Whether the true label is the first answer. Among equal scores the unseen one is: it stands first."""
    # In double precision, as in `_curves`: the middle between two margins may be no number of single precision.
    margin = outcomes.margin.astype(np.float64)
    wins = margin > penalty if kind == "seen" else margin <= penalty
    return outcomes.right & wins


def _curves(measurement: Measurement, model: str):
    """For each seed: all penalties at which an answer changes, and what `_at` needs."""
    seeds = [measurement.generalized[kind][model] for kind in ("seen", "unseen")]
    for both in zip(*seeds, strict=True):
        steps = []
        for outcomes, labels in zip(both, (measurement.labels["seen"], measurement.labels["unseen"]), strict=True):
            counts = np.bincount(labels)
            weights = outcomes.right / counts[labels] / np.count_nonzero(counts)
            order = np.argsort(outcomes.margin, kind="stable")
            steps.append((outcomes.margin[order].astype(np.float64), np.concatenate([[0], np.cumsum(weights[order])])))
        margins = np.concatenate([margin for margin, _ in steps])
        yield np.unique(margins[np.isfinite(margins)]), *steps


def _at(curve, penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-class accuracies on seen and unseen labels at penalties."""
    _, (seen_margins, seen), (unseen_margins, unseen) = curve
    above = seen[-1] - seen[np.searchsorted(seen_margins, penalties, side="right")]
    return above, unseen[np.searchsorted(unseen_margins, penalties, side="right")]


def _area(penalties, seen_steps, unseen_steps) -> float:
    """Area under the curve of seen against unseen accuracy."""
    grid = np.concatenate([[-np.inf], penalties, [np.inf]])
    seen, unseen = _at((penalties, seen_steps, unseen_steps), grid)
    return float(trapezoid(unseen[::-1], seen[::-1]))
