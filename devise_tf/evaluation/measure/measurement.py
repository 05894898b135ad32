"""What is measured, and what was."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from devise_tf.labels import LabelTable

KS = (1, 2, 5, 10, 20)
NEVER = np.iinfo(np.uint16).max


@dataclasses.dataclass(frozen=True)
class Setting:
    """Which images are measured against which candidates.

    Attributes:
        name: `"seen"`, `"unseen"` or `"unseen+seen"`.
        label_ids: Labels whose images count.
        candidate_ids: Labels that may be answered.
        valid_ids: Labels that hierarchical precision counts as correct answers: the data set's own, and for zero-shot
            settings the unseen and the seen ones together (paper, appendix A.3).
    """

    name: str
    label_ids: Sequence[str]
    candidate_ids: Sequence[str]
    valid_ids: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A model as the evaluator sees it.

    Attributes:
        name: Its row in the tables. Scorers of one name are seeds of one model.
        network: From pixels float32 [B, S, S, 3] to any tensor or tensors. Scorers with the same function share it.
        head: From these to queries, float32 [B, D].
        candidates: From the ids of candidates to what the queries are scored with.
    """

    name: str
    network: Callable[[tf.Tensor], object]
    head: Callable[[object], tf.Tensor]
    candidates: Callable[[Sequence[str]], LabelTable]


@dataclasses.dataclass
class Outcomes:
    """What one model answered in one setting, a row an image.

    Attributes:
        first_hit: uint16 [n]. The smallest `k` for which the true label is among the first `k` answers; `NEVER` where
            it is not among the most that were looked at.
        correct: uint8 [n, number of `ks`], uint16 where a `k` is above 255. How many of the first `k`
            answers are in hCorrectSet(label, k).
        first_answer: int32 [n]. The first answer, a place among the candidates, or -1.
    """

    first_hit: np.ndarray
    correct: np.ndarray
    first_answer: np.ndarray


@dataclasses.dataclass
class GeneralizedOutcomes:
    """What one model answered over all candidates, for images of seen or of unseen labels, a row an image.

    Attributes:
        margin: float32 [n]. The best seen candidate's score less the best unseen one's. A penalty below it on seen
            candidates leaves the seen one first; otherwise the unseen one is.
        right: bool [n]. Whether the true label is the best of its own kind, the seen or the unseen.
    """

    margin: np.ndarray
    right: np.ndarray


@dataclasses.dataclass
class Measurement:
    """All that was measured, for each model a list of its seeds.

    Attributes:
        settings: By name.
        ks: The `k` of hit@k and hierarchical precision@k that fit each setting's candidates.
        images: For each setting the images, as places in the source, int64 [n]: those that could be read.
        labels: For each setting the images' labels, int32 [n], places in `label_ids`.
        correct_sizes: For each setting and `k` the sizes of the labels' hCorrectSets, int [labels]; empty without a
            hierarchy.
        outcomes: `outcomes[setting][model]`.
        generalized: `generalized["seen" or "unseen"][model]`, over all candidates; empty unless there are
            images of both.
    """

    settings: dict[str, Setting]
    ks: dict[str, list[int]]
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    correct_sizes: dict[str, dict[int, np.ndarray]]
    outcomes: dict[str, dict[str, list[Outcomes]]]
    generalized: dict[str, dict[str, list[GeneralizedOutcomes]]]


def standard_settings(
    seen: Sequence[str], unseen: Sequence[str], measured: Sequence[str] | None = None
) -> list[Setting]:
    """The paper's three settings.

    Args:
        seen: Labels that were trained.
        unseen: Labels that were held out.
        measured: Labels that there are images of; all by default. The others stay candidates.

    Returns:
        The settings; those about unseen labels only where there are images of some.
    """
    seen, unseen = list(seen), list(unseen)
    shown = {*seen, *unseen} if measured is None else set(measured)
    seen_shown, unseen_shown = ([label for label in labels if label in shown] for labels in (seen, unseen))
    settings = [Setting("seen", seen_shown, seen, seen)] if seen_shown else []
    if unseen_shown:
        both = [*unseen, *seen]
        settings.append(Setting("unseen", unseen_shown, unseen, both))
        settings.append(Setting("unseen+seen", unseen_shown, both, both))
    return settings


def split(measurement: Measurement, share: float, seed: int) -> tuple[Measurement, Measurement]:
    """Splits the images of a measurement by a seed: a share to choose by, and the rest (paper, appendix A.1).

    Args:
        measurement: What was measured.
        share: Share of the first part, above 0 and below 1.
        seed: Of the draw.

    Returns:
        Both parts.
    """
    images = np.unique(np.concatenate(list(measurement.images.values())))
    drawn = np.random.default_rng(seed).permutation(images)[: round(share * len(images))]
    parts = []
    for inside in (True, False):
        kept = {name: np.isin(rows, drawn) == inside for name, rows in measurement.images.items()}
        if not all(rows.any() for rows in kept.values()):
            raise ValueError(f"`validation_share` leaves a part without images. Received: validation_share={share}")
        parts.append(
            dataclasses.replace(
                measurement,
                images={name: rows[kept[name]] for name, rows in measurement.images.items()},
                labels={name: rows[kept[name]] for name, rows in measurement.labels.items()},
                outcomes={
                    name: {m: [_rows(o, kept[name]) for o in outcomes] for m, outcomes in models.items()}
                    for name, models in measurement.outcomes.items()
                },
                generalized={
                    kind: {m: [_rows(o, kept[kind]) for o in outcomes] for m, outcomes in models.items()}
                    for kind, models in measurement.generalized.items()
                },
            )
        )
    return parts[0], parts[1]


def _rows(outcomes, kept):
    return type(outcomes)(*(getattr(outcomes, field.name)[kept] for field in dataclasses.fields(outcomes)))
