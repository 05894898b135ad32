"""Both ways of answering, by label vectors and by terms, measured in one pass over the images."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from devise_tf.choices import EVALUATED_ANSWERS
from devise_tf.evaluation.measure.measurement import Measurement, Scorer

_OTHER = ", other answers"  # behind the names of models while both ways are in one measurement


def other_answers(answers: str) -> str:
    """The other one of the two ways of answering."""
    return next(way for way in EVALUATED_ANSWERS if way != answers)


def with_other_answers(scorers: Sequence[Scorer]) -> list[Scorer]:
    """The scorers, and behind them those that answer in the other way, where there is one."""
    others = [
        dataclasses.replace(scorer, name=scorer.name + _OTHER, candidates=scorer.other_candidates)
        for scorer in scorers
        if scorer.other_candidates is not None
    ]
    return [*scorers, *others]


def by_answers(measurement: Measurement, answers: str) -> dict[str, Measurement]:
    """Splits what was measured of `with_other_answers`.

    Args:
        measurement: Measurement. Of all scorers.
        answers: str. `"labels"` or `"terms"`, the way in which the scorers themselves answer.

    Returns:
        A measurement of all models for each way of answering. Models that have one way only are in both.
    """
    return {
        way: dataclasses.replace(
            measurement,
            outcomes={name: _rows(models, way == answers) for name, models in measurement.outcomes.items()},
            generalized={kind: _rows(models, way == answers) for kind, models in measurement.generalized.items()},
        )
        for way in EVALUATED_ANSWERS
    }


def _rows(models: dict[str, Any], themselves: bool) -> dict[str, Any]:
    """The models as they answer themselves, or else in the other way."""
    names = [name for name in models if not name.endswith(_OTHER)]
    return {name: models[name] if themselves else models.get(name + _OTHER, models[name]) for name in names}
