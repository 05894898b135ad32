"""From what was measured to figures: means, bootstrap intervals, differences."""

from collections.abc import Mapping

from devise_tf.evaluation.figures.bootstrap import SAMPLES, bootstrap_means, interval
from devise_tf.evaluation.figures.generalized import generalized_difference, summarize_generalized
from devise_tf.evaluation.figures.metrics import METRICS, metric_values, metrics_of, seed_values
from devise_tf.evaluation.measure.measurement import Measurement


def summarize(measurement: Measurement, penalties: Mapping[str, float] | None = None, seed: int = 0) -> dict:
    """All figures with their 95 % intervals.

    Args:
        measurement: Measurement. What was measured.
        penalties: Mapping of float by model. What is taken from seen candidates' scores; see `choose_penalty`.
        seed: int. Of the bootstrap.

    Returns:
        `{setting: {model: {metric: share}}}` for each setting and, where there are images of both kinds,
        `"generalized"`; `"intervals"` of the same form with `[low, high]`, over images; and `"seeds"`, `{setting:
        {model: {metric: [share of each seed]}}}` for the models that have several.
    """
    report: dict = {"intervals": {}, "seeds": {}}
    for setting in measurement.outcomes:
        report[setting], report["intervals"][setting], report["seeds"][setting] = _setting(measurement, setting, seed)
    if measurement.generalized:
        report["generalized"], report["intervals"]["generalized"] = summarize_generalized(measurement, penalties, seed)
    return report


def _setting(measurement: Measurement, setting: str, seed: int) -> tuple[dict, dict, dict]:
    """Of one setting the figures, their intervals and, of models with several seeds, the seeds' figures."""
    figures: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, list[float]]] = {}
    seeds: dict[str, dict[str, list[float]]] = {}
    models = measurement.outcomes[setting]
    for model in [*models, "chance"]:
        for metric in metrics_of(measurement, setting):
            values = metric_values(measurement, setting, model, metric)
            figures.setdefault(model, {})[metric] = float(values.mean())
            if model != "chance":
                means = bootstrap_means(values[:, None], samples=SAMPLES, seed=seed)
                intervals.setdefault(model, {})[metric] = interval(means[:, 0])
                if len(models[model]) > 1:
                    of_seeds = seed_values(measurement, setting, model, metric)
                    seeds.setdefault(model, {})[metric] = [float(values.mean()) for values in of_seeds]
    return figures, intervals, seeds


def difference(
    measurement: Measurement,
    setting: str,
    metric: str,
    model: str,
    minus: str,
    minus_setting: str | None = None,
    seed: int = 0,
) -> dict:
    """By how much a model leads another one on the same images, with the 95 % interval of the difference.

    Args:
        measurement: Measurement. What was measured.
        setting: str. The setting.
        metric: str. The figure, such as `"hit@5"`.
        model: str. The first model.
        minus: str. The second model.
        minus_setting: str. Another setting of the second model, over the same images.
        seed: int. Of the bootstrap.

    Returns:
        `{"setting", "metric", "model", "minus", "difference", "low", "high"}`.
    """
    values = metric_values(measurement, setting, model, metric)
    values = values - metric_values(measurement, minus_setting or setting, minus, metric)
    low, high = interval(bootstrap_means(values[:, None], samples=SAMPLES, seed=seed)[:, 0])
    row = {"setting": setting, "metric": metric, "model": model, "minus": minus}
    return {**row, "difference": float(values.mean()), "low": low, "high": high}


def differences(measurement: Measurement, penalties: Mapping[str, float], seed: int = 0) -> list[dict]:
    """What readers ask first: every model against DeViSE.

    Args:
        measurement: Measurement. What was measured.
        penalties: Mapping of float by model. What is taken from seen candidates' scores.
        seed: int. Of the bootstrap.

    Returns:
        A list of what `difference` and `generalized_difference` give.
    """
    rows = []
    for setting, models in measurement.outcomes.items():
        others = [model for model in models if model != "devise"] if "devise" in models else []
        metrics = [f"{m.name}@{k}" for m in METRICS.values() for k in m.compared_at]
        metrics = [metric for metric in metrics if metric in metrics_of(measurement, setting)]
        rows += [difference(measurement, setting, m, model, "devise", seed=seed) for model in others for m in metrics]
    generalized = measurement.generalized.get("seen", {})
    if "devise" in generalized and penalties:
        others = [model for model in generalized if model != "devise"]
        rows += [generalized_difference(measurement, model, "devise", penalties, seed) for model in others]
    return rows
