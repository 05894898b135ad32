"""What the paper claims, held against what was measured."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from devise_tf.evaluation.figures.bootstrap import SAMPLES, bootstrap_means, interval
from devise_tf.evaluation.figures.metrics import format_of, metric_values
from devise_tf.evaluation.figures.summary import difference
from devise_tf.evaluation.measure.measurement import Measurement
from devise_tf.model_dir import DEVISE, ModelDir
from devise_tf.models.model_names import L2, PAPER, RANDOM, SOFTMAX

HOLDS, DOES_NOT, CANNOT_TELL = "holds", "does not hold", "cannot tell"
RULE = (
    "A claim holds where the whole 95 % interval of each of its figures lies within the bounds of its test, does not "
    "hold where one lies wholly outside, and is open otherwise. Each is tested twice: with the models made of words "
    "answering by label vectors, and by terms."
)


class _Part(NamedTuple):
    """An interval that a claim bounds."""

    low: float
    high: float
    above: float = 0.0
    below: float = math.inf

    @property
    def verdict(self) -> str:
        if self.above < self.low and self.high < self.below:
            return HOLDS
        return DOES_NOT if self.high <= self.above or self.low >= self.below else CANNOT_TELL


# What a claim's test gives: the intervals that it bounds, and the figures as people read them.
_Result = tuple[list[_Part], str]


@dataclasses.dataclass(frozen=True)
class _Claim:
    """A claim of the paper.

    Attributes:
        claim: str. The claim.
        test: str. What `check` tests, in a sentence.
        check: Function of the measurement, the model that stands for DeViSE, and the seed of the bootstrap. It raises
            a `KeyError` where a model or a setting that it needs was not measured.
    """

    claim: str
    test: str
    check: Callable[[Measurement, str, int], _Result]


def check_claims(
    measured: Mapping[str, Measurement], frozen: Collection[str] = (), seed: int = 0
) -> list[dict[str, Any]]:
    """Holds the paper's claims against measurements, by 95 % bootstrap intervals over the images; see `RULE`.

    Args:
        measured: Mapping of `Measurement` by way of answering, see `by_answers`. All of the same models and images.
        frozen: Collection of str. Names of the models whose CNN is as phase 2 left it.
        seed: int. Of the bootstrap.

    Returns:
        `{"claim", "model", "test", "answers": {way: {"verdict", "figures"}}}` for each claim about models and settings
        that were measured: for `devise`, and for `paper`, the paper's own recipe, too. Rank loss is that of `paper` if
        there is one, and is compared with L2 where the CNN learned in both or in neither.
    """
    names = {name for one in measured.values() for name in one.outcomes.get("seen", {})}
    claims = []
    for claim in _CLAIMS:
        for model in _alike(names, frozen) if claim.check is _rank_loss else (DEVISE, PAPER):
            answers = {}
            for way, measurement in measured.items():
                with contextlib.suppress(KeyError):
                    parts, figures = claim.check(measurement, model, seed)
                    answers[way] = {"verdict": _worst(parts), "figures": figures}
            if answers:
                claims.append({"claim": claim.claim, "model": model, "test": claim.test, "answers": answers})
    return claims


def _alike(names: Collection[str], frozen: Collection[str]) -> list[str]:
    """The model of rank loss that is compared with L2, if there is one whose CNN learned as little or as much."""
    rank = PAPER if PAPER in names else DEVISE
    alike = [name for name in (rank, ModelDir.projection_name(rank)) if (name in frozen) == (L2 in frozen)]
    return [name for name in alike if name in names][:1]


# In points of hit@1; the paper's are 0.7 and 2.4.
_LEAD = (0.0, 0.03)


def _softmax_leads(measurement: Measurement, model: str, seed: int) -> _Result:
    largest = max(measurement.ks["seen"])
    if largest == 1:
        raise KeyError("a larger k")
    first, last = (difference(measurement, "seen", f"hit@{k}", SOFTMAX, model, seed=seed) for k in (1, largest))
    # The gap's change is a difference of differences on the same images.
    change = _gap(measurement, "hit@1", model) - _gap(measurement, f"hit@{largest}", model)
    low, high = interval(bootstrap_means(change[:, None], samples=SAMPLES, seed=seed)[:, 0])
    shrinks = _figures({"metric": "hit@1", "difference": change.mean(), "low": low, "high": high})
    return [_part(first, *_LEAD), _Part(low, high)], (
        f"softmax less {model}, points: {_figures(first)} at k = 1, {_figures(last)} at k = {largest}, "
        f"smaller there by {shrinks}"
    )


def _gap(measurement: Measurement, metric: str, model: str) -> np.ndarray:
    return metric_values(measurement, "seen", SOFTMAX, metric) - metric_values(measurement, "seen", model, metric)


def _hierarchical(measurement: Measurement, model: str, seed: int) -> _Result:
    ks = [k for k in measurement.ks["seen"] if k >= 5]
    if "seen" not in measurement.correct_sizes or not ks:
        raise KeyError("hp")
    parts: list[_Part] = []
    shown = []
    for one, other in ((model, SOFTMAX), (model, RANDOM), (SOFTMAX, RANDOM)):
        rows = [difference(measurement, "seen", f"hp@{k}", one, other, seed=seed) for k in ks]
        parts += map(_part, rows)
        shown.append(f"{one} less {other}: {_at_ks(rows)}")
    return parts, f"hp@k of {'; '.join(shown)}"


def _zero_shot(measurement: Measurement, model: str, seed: int) -> _Result:
    metrics = [f"hit@{k}" for k in (1, 5) if k <= max(measurement.ks["unseen"])]
    above = [
        difference(measurement, "unseen", metric, model, other, seed=seed)
        for metric in metrics
        for other in ("chance", RANDOM)
    ]
    shown = ", ".join(f"{_figures(row)} above {row['minus']} at {row['metric']}" for row in above)
    return list(map(_part, above)), f"{model} on unseen labels, points: {shown}"


def _more_candidates(measurement: Measurement, model: str, seed: int) -> _Result:
    lowered = [
        difference(measurement, "unseen", f"hit@{k}", model, model, "unseen+seen", seed=seed)
        for k in measurement.ks["unseen"]
    ]
    return list(map(_part, lowered)), f"{model} on unseen labels, points lost at k: {_at_ks(lowered)}"


_RATIO = (1.5, 3.0)


def _rank_loss(measurement: Measurement, model: str, seed: int) -> _Result:
    shown, parts = [], []
    for setting in ("seen", "unseen"):
        if setting == "seen" or setting in measurement.outcomes:
            both = [metric_values(measurement, setting, name, "hit@1") for name in (model, L2)]
            means = bootstrap_means(np.stack(both, axis=1), samples=SAMPLES, seed=seed)
            ratio = both[0].mean() / both[1].mean() if both[1].any() else math.inf
            with_zero = means[:, 1] == 0
            drawn = means[~with_zero, 0] / means[~with_zero, 1]
            low, high = interval(drawn) if len(drawn) else (0.0, math.inf)
            shown.append(f"{ratio:.2f} [{low:.2f}, {high:.2f}] on {setting} labels")
            parts.append(_Part(low, high, *_RATIO))
    return parts[:1], f"hit@1 of {model} over {L2}: {', '.join(shown)}"


_GAIN = (0.01, 0.03)


def _unfreezing(measurement: Measurement, model: str, seed: int) -> _Result:
    gain = difference(measurement, "seen", "hit@1", model, ModelDir.projection_name(model), seed=seed)
    if gain["difference"] == gain["low"] == gain["high"] == 0:
        raise KeyError("nothing was unfrozen")  # both rows are the same model
    return [_part(gain, *_GAIN)], f"hit@1 of {model} on seen labels, points gained: {_figures(gain)}"


def _within(bounds: Sequence[float], scale: float = 100) -> str:
    return "above {:g} and below {:g}".format(*(scale * bound for bound in bounds))


_CLAIMS = (
    _Claim(
        "1. Softmax leads flat hit@1 by a little; DeViSE closes the gap as k grows.",
        f"hit@1 on seen labels, softmax less the model: {_within(_LEAD)} points (the paper: 0.7 and 2.4). At the "
        "largest k the difference is smaller.",
        _softmax_leads,
    ),
    _Claim(
        "2. DeViSE leads softmax on hp@k from k = 5 up; random embeddings trail both.",
        "hp@k on seen labels at each k from 5 up: the model less softmax, and both less random embeddings, above 0.",
        _hierarchical,
    ),
    _Claim(
        "3. Zero-shot is far above chance, and above random embeddings.",
        "hit@1 and hit@5 on unseen labels: the model less chance, and less random embeddings, above 0.",
        _zero_shot,
    ),
    _Claim(
        "4. Adding the training labels to the candidates lowers flat hit@k.",
        "hit@k on unseen labels at each k: among unseen candidates less among all candidates, above 0.",
        _more_candidates,
    ),
    _Claim(
        "5. Rank loss beats L2 by about two to one.",
        f"hit@1 on seen labels, rank loss over L2: {_within(_RATIO, 1)}. The CNN learned in both models or in neither.",
        _rank_loss,
    ),
    _Claim(
        "6. Unfreezing the CNN adds 1 to 3 points.",
        f"hit@1 on seen labels, the model less itself before its CNN learned: {_within(_GAIN)} points.",
        _unfreezing,
    ),
)


def _part(row: Mapping[str, Any], above: float = 0.0, below: float = math.inf) -> _Part:
    return _Part(row["low"], row["high"], above, below)


def _worst(parts: Iterable[_Part]) -> str:
    verdicts = {part.verdict for part in parts}
    return next(verdict for verdict in (DOES_NOT, CANNOT_TELL, HOLDS) if verdict in verdicts)


def _at_ks(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{_figures(row)} at {row['metric'].partition('@')[2]}" for row in rows)


def _figures(row: Mapping[str, Any]) -> str:
    """A difference and its interval, in the metric's format."""
    text = format_of(row["metric"])
    return f"{text(row['difference'])} [{text(row['low'])}, {text(row['high'])}]"
