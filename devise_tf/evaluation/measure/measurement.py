"""Settings, models and outcomes of a measurement."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from devise_tf.labels import LabelTable

KS = (1, 2, 5, 10, 20)
NEVER = np.iinfo(np.uint16).max


@dataclasses.dataclass(frozen=True)
class Setting:
    """Which images are measured against which candidates.

    Attributes:
        name: str. `"seen"`, `"unseen"` or `"unseen+seen"`.
        label_ids: Sequence of str. Labels whose images count.
        candidate_ids: Sequence of str. Labels that may be answered.
        valid_ids: Sequence of str. Labels that hierarchical precision counts as correct answers: those of the data set,
            and for zero-shot settings the unseen and the seen ones together (paper, appendix A.3).
    """

    name: str
    label_ids: Sequence[str]
    candidate_ids: Sequence[str]
    valid_ids: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Scorer:
    """A model as it is measured.

    Attributes:
        name: str. The row in the tables. Scorers with the same name are seeds of one model.
        network: Function of pixels, float32 [B, S, S, 3], to any tensor or tensors. Scorers with the same function
            share it.
        head: Function of these to queries, float32 [B, D].
        candidates: Function of candidates' ids to what the queries are scored with.
        other_candidates: The same by the other way of answering, see `answers.py`; None where there is no other, or
            nothing is claimed of it.
        is_frozen: bool. Whether the network is the softmax's as phase 2 left it.
    """

    name: str
    network: Callable[[tf.Tensor], Any]
    head: Callable[[Any], tf.Tensor]
    candidates: Callable[[Sequence[str]], LabelTable]
    other_candidates: Callable[[Sequence[str]], LabelTable] | None = None
    is_frozen: bool = False


@dataclasses.dataclass
class Outcomes:
    """What one model answered in one setting, a row an image.

    Attributes:
        first_hit: uint16 array, shape `[n]`. The smallest `k` for which the true label is among the first `k` answers;
            `NEVER` where it is above the largest of the `ks`.
        correct: uint8 array, shape `[n, number of ks]`; uint16 where a `k` is above 255. How many of the first `k`
            answers are in hCorrectSet(label, k).
        first_answer: int32 array, shape `[n]`. The first answer's position among the candidates, or -1.
    """

    first_hit: np.ndarray
    correct: np.ndarray
    first_answer: np.ndarray


@dataclasses.dataclass
class GeneralizedOutcomes:
    """What one model answered over all candidates, for images of seen or of unseen labels, a row an image.

    Attributes:
        seen_lead: float32 array, shape `[n]`. The best seen candidate's score less the best unseen one's. A penalty
            below it on seen candidates leaves the seen one first; otherwise the unseen one is.
        right: bool array, shape `[n]`. Whether the true label is the best of its kind, the seen or the unseen.
    """

    seen_lead: np.ndarray
    right: np.ndarray


@dataclasses.dataclass
class Measurement:
    """All that was measured, for each model a list of its seeds.

    Attributes:
        settings: Dict of `Setting` by name.
        ks: Dict of list of int by setting. The `k` of hit@k and hierarchical precision@k that fit its candidates.
        images: Dict of int64 array, shape `[n]`, by setting. The readable images, as positions in the source.
        labels: Dict of int32 array, shape `[n]`, by setting. The images' labels, as positions in `label_ids`.
        correct_sizes: `correct_sizes[setting][k]`, int array, shape `[labels]`. Sizes of the labels' hCorrectSets;
            empty without a hierarchy.
        outcomes: `outcomes[setting][model]`, a list of `Outcomes`.
        generalized: `generalized["seen" or "unseen"][model]`, over all candidates; empty unless there are images of
            both.
    """

    settings: dict[str, Setting]
    ks: dict[str, list[int]]
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    correct_sizes: dict[str, dict[int, np.ndarray]]
    outcomes: dict[str, dict[str, list[Outcomes]]]
    generalized: dict[str, dict[str, list[GeneralizedOutcomes]]]


_AnyOutcomes = TypeVar("_AnyOutcomes", Outcomes, GeneralizedOutcomes)


def standard_settings(
    seen: Sequence[str], unseen: Sequence[str], measured: Sequence[str] | None = None
) -> list[Setting]:
    """The paper's three settings.

    Args:
        seen: Sequence of str. Labels that were trained.
        unseen: Sequence of str. Labels that were held out.
        measured: Sequence of str. Labels with images; all by default. The others stay candidates.

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
        measurement: Measurement. What was measured.
        share: float, above 0 and below 1. Share of the first part.
        seed: int. Of the draw.

    Returns:
        Both parts.

    Raises:
        ValueError: A part has no images of a setting.
    """
    images = np.unique(np.concatenate(list(measurement.images.values())))
    drawn = np.random.default_rng(seed).permutation(images)[: round(share * len(images))]
    parts = []
    for inside in (True, False):
        chosen = {name: np.isin(rows, drawn) == inside for name, rows in measurement.images.items()}
        if not all(rows.any() for rows in chosen.values()):
            raise ValueError(f"`validation_share` leaves a part without images. Received: validation_share={share}")
        parts.append(
            dataclasses.replace(
                measurement,
                images={name: rows[chosen[name]] for name, rows in measurement.images.items()},
                labels={name: rows[chosen[name]] for name, rows in measurement.labels.items()},
                outcomes={
                    name: {m: [_rows(o, chosen[name]) for o in outcomes] for m, outcomes in models.items()}
                    for name, models in measurement.outcomes.items()
                },
                generalized={
                    kind: {m: [_rows(o, chosen[kind]) for o in outcomes] for m, outcomes in models.items()}
                    for kind, models in measurement.generalized.items()
                },
            )
        )
    return parts[0], parts[1]


def _rows(outcomes: _AnyOutcomes, chosen: np.ndarray) -> _AnyOutcomes:
    return type(outcomes)(*(getattr(outcomes, field.name)[chosen] for field in dataclasses.fields(outcomes)))
