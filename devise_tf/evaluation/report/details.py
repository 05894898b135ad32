"""What the report's page shows beside the figures of `metrics.json`."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from devise_tf.evaluation.figures.generalized import generalized_curve
from devise_tf.evaluation.figures.label_figures import LabelRow, confusions, hit_curves, label_rows
from devise_tf.evaluation.measure.measurement import Measurement
from devise_tf.evaluation.measure.samples import Sample
from devise_tf.evaluation.report.label_groups import group_names, label_groups
from devise_tf.evaluation.report.label_map import LabelMap, label_map
from devise_tf.labels import Hierarchy, LabelSet, LabelTable
from devise_tf.labels.coverage import LabelCoverage
from devise_tf.labels.wordnet import wordnet_names

Floats = Sequence[float] | np.ndarray


@dataclasses.dataclass
class ReportDetails:
    """What the page shows of single labels and images. What is empty is left out.

    Attributes:
        names: Mapping of str. Display names by label id; a label without one is shown by its id.
        curves: Mapping. For each setting and model the shares hit@1, hit@2, … hit@K.
        generalized_curve: Mapping. For each model two arrays, shape `[n]`: accuracies of seen and of unseen labels as
            the penalty rises.
        samples: Sequence of `Sample`. Images with answers.
        confusions: Mapping. For each model `[(true label, answered label, images, cosine of their label vectors)]`,
            most frequent first.
        label_rows: Sequence of `LabelRow`. A row for each label.
        map: LabelMap or None. The label vectors in the plane.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Sequence[float]]] = dataclasses.field(default_factory=dict)
    generalized_curve: Mapping[str, tuple[Floats, Floats]] = dataclasses.field(default_factory=dict)
    samples: Sequence[Sample] = ()
    confusions: Mapping[str, Sequence[tuple[str, str, int, float]]] = dataclasses.field(default_factory=dict)
    label_rows: Sequence[LabelRow] = ()
    map: LabelMap | None = None


def report_details(
    measurement: Measurement,
    samples: Sequence[Sample],
    labels: LabelSet,
    vectors: LabelTable,
    coverage: LabelCoverage,
    seen: Collection[str],
    hierarchy: Hierarchy | None,
    seed: int,
) -> ReportDetails:
    """Gathers what the report's page shows beside the figures.

    Args:
        measurement: Measurement. What was measured.
        samples: Sequence of `Sample`. Images with answers.
        labels: LabelSet. All candidates.
        vectors: LabelTable. Those of the labels that have one.
        coverage: LabelCoverage. How the vectors were found.
        seen: Collection of str. Ids of the trained labels.
        hierarchy: Hierarchy. Gives the map its groups; None without one.
        seed: int. Of the map.
    """
    names = {label: terms[0] for label, terms in zip(labels.ids, labels.terms, strict=True)}
    groups = {}
    if hierarchy is not None:
        groups = group_names(label_groups(vectors.ids, hierarchy), {**wordnet_names(), **names})
    trained = set(seen)
    return ReportDetails(
        names=names,
        curves=hit_curves(measurement),
        generalized_curve={
            model: generalized_curve(measurement, model) for model in measurement.generalized.get("seen", ())
        },
        samples=samples,
        confusions=confusions(measurement, vectors.by_label()),
        label_rows=label_rows(measurement, labels, coverage.cases()),
        map=label_map(
            vectors.values,
            vectors.ids,
            [label in trained for label in vectors.ids],
            [groups.get(label, "other") for label in vectors.ids],
            seed,
        ),
    )
