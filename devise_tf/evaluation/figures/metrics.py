"""The metrics of an evaluation, one entry each: whoever adds an entry has it in the figures, tables and pages."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from devise_tf.evaluation.measure.measurement import Measurement, Outcomes


@dataclasses.dataclass(frozen=True)
class Format:
    """How figures are printed.

    Attributes:
        scale: float. What a figure is multiplied by before it is printed: 100 for per cent.
        digits: int. Digits behind the point.
        unit: str. What stands behind the name in the head of a column.
    """

    scale: float
    digits: int
    unit: str = ""

    def __call__(self, value: float) -> str:
        return f"{self.scale * value:.{self.digits}f}"


PERCENT = Format(100, 1, " %")
SHARE = Format(1, 3)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure that is taken of the first `k` answers, and called NAME@k. Ranks beyond the largest `k` are not known.

    Attributes:
        name: str. `"hit"` where the figure at 5 is `"hit@5"`.
        title: str. Head of its columns.
        hint: str. What it is, in a sentence.
        format: Format. How it is printed.
        values: Function of (`Outcomes`, `k`, the `ks` of the outcomes) to float [n], a value an image.
        chance: Function of (`Measurement`, setting, `k`) to float [n], what a random ranking gets.
        is_measured: Function of (`Measurement`, setting) to bool, whether the metric has what it needs.
        compared_at: Tuple of int. The `k` of the table of differences.
        shown_from: int. The smallest `k` with a column of its own.
    """

    name: str
    title: str
    hint: str
    format: Format
    values: Callable[[Outcomes, int, Sequence[int]], np.ndarray]
    chance: Callable[[Measurement, str, int], np.ndarray]
    is_measured: Callable[[Measurement, str], bool] = lambda measurement, setting: True
    compared_at: Sequence[int] = ()
    shown_from: int = 1


@dataclasses.dataclass(frozen=True)
class MetricAtK:
    """A metric at a `k`; its name is that of the figure, such as `"hit@5"`."""

    metric: Metric
    k: int

    @property
    def name(self) -> str:
        return f"{self.metric.name}@{self.k}"


def _candidates(measurement: Measurement, setting: str) -> int:
    return len(measurement.settings[setting].candidate_ids)


def _hit_of_chance(measurement: Measurement, setting: str, k: int) -> np.ndarray:
    return np.full(len(measurement.labels[setting]), k / _candidates(measurement, setting))


def _precision_of_chance(measurement: Measurement, setting: str, k: int) -> np.ndarray:
    sizes = measurement.correct_sizes[setting][k][measurement.labels[setting]]
    return sizes / _candidates(measurement, setting)


HIT = Metric(
    name="hit",
    title="flat hit@k, %",
    hint="Hit@k: share of the images whose label is among the first k answers.",
    format=PERCENT,
    values=lambda outcomes, k, ks: outcomes.first_hit <= k,
    chance=_hit_of_chance,
    compared_at=(1, 5, 20),
)
HIERARCHICAL_PRECISION = Metric(
    name="hp",
    title="hierarchical precision@k",
    hint=(
        "Hierarchical precision@k: share of the first k answers that are among the labels nearest to the true one in "
        "the hierarchy."
    ),
    format=SHARE,
    values=lambda outcomes, k, ks: outcomes.correct[:, list(ks).index(k)] / k,
    chance=_precision_of_chance,
    is_measured=lambda measurement, setting: setting in measurement.correct_sizes,
    compared_at=(5, 20),
    shown_from=2,  # hp@1 is hit@1
)
METRICS = {metric.name: metric for metric in (HIT, HIERARCHICAL_PRECISION)}


def at_k(name: str) -> MetricAtK:
    """The metric of a figure's name: `"hit@5"` is hit at 5."""
    kind, _, k = name.partition("@")
    return MetricAtK(METRICS[kind], int(k))


def metrics_of(measurement: Measurement, setting: str) -> list[str]:
    """The names of a setting's figures, in the order of the tables."""
    measured = [metric for metric in METRICS.values() if metric.is_measured(measurement, setting)]
    return [MetricAtK(metric, k).name for metric in measured for k in measurement.ks[setting]]


def metric_values(measurement: Measurement, setting: str, model: str, name: str) -> np.ndarray:
    """A figure of each image, averaged over a model's seeds.

    Args:
        measurement: Measurement. What was measured.
        setting: str. Its setting.
        model: str. The model; `"chance"` gives what a random ranking gets, image by image.
        name: str. `"hit@K"`, `"hp@K"` and so on.

    Returns:
        float array, shape `[n]`. Its mean is the model's figure.
    """
    if model == "chance":
        return at_k(name).metric.chance(measurement, setting, at_k(name).k)
    return np.mean(seed_values(measurement, setting, model, name), axis=0)


def seed_values(measurement: Measurement, setting: str, model: str, name: str) -> list[np.ndarray]:
    """A figure of each image for each of a model's seeds; see `metric_values`."""
    figure, ks = at_k(name), measurement.ks[setting]
    return [figure.metric.values(outcomes, figure.k, ks) for outcomes in measurement.outcomes[setting][model]]


def columns(rows: Iterable[Mapping[str, float]]) -> list[MetricAtK]:
    """The columns of a table of rows by figures' names: what any of the rows has, by metric and `k`."""
    figures = {at_k(name) for row in rows for name in row}
    order = list(METRICS.values())
    shown = [figure for figure in figures if figure.k >= figure.metric.shown_from]
    return sorted(shown, key=lambda figure: (order.index(figure.metric), figure.k))


def format_of(name: str) -> Format:
    """How a figure is printed: one of the metrics by its own format, accuracies in per cent."""
    metric = METRICS.get(name.partition("@")[0])
    return metric.format if metric else PERCENT
