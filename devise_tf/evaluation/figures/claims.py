"""What the paper claims, held against what was measured."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from devise_tf.evaluation.figures.bootstrap import SAMPLES, bootstrap_means, interval
from devise_tf.evaluation.figures.metrics import format_of, metric_values
from devise_tf.evaluation.figures.summary import difference
from devise_tf.evaluation.measure.measurement import Measurement

HOLDS, DOES_NOT, CANNOT_TELL = "holds", "does not hold", "cannot tell"


def check_claims(measurement: Measurement, seed: int = 0) -> list[dict[str, str]]:
    """Holds the paper's claims against a measurement, each by 95 % bootstrap intervals over the images.

    Args:
        measurement: Measurement. What was measured.
        seed: int. Of the bootstrap.

    Returns:
        `{"claim", "verdict", "figures"}` for each claim about models and settings that were measured. A claim holds
        where all intervals lie on its side, does not hold where one lies on the other side, and is open otherwise.
    """
    checks = (_softmax_leads, _hierarchical, _zero_shot, _more_candidates, _rank_loss, _unfreezing)
    claims = []
    for check in checks:
        try:
            claims.append(check(measurement, seed))
        except KeyError:  # a model or a setting was not measured
            continue
    return claims


def _softmax_leads(measurement: Measurement, seed: int) -> dict[str, str]:
    largest = max(measurement.ks["seen"])
    first, last = (difference(measurement, "seen", f"hit@{k}", "softmax", "devise", seed=seed) for k in (1, largest))
    leads = _verdict([(first["low"], first["high"])])
    # The gap's change is a difference of differences on the same images.
    change = _gap(measurement, "hit@1") - _gap(measurement, f"hit@{largest}")
    low, high = interval(bootstrap_means(change[:, None], samples=SAMPLES, seed=seed)[:, 0])
    return {
        "claim": "1. Softmax leads flat hit@1 by a little; DeViSE closes the gap as k grows.",
        "verdict": _worst([leads, _verdict([(low, high)])]),
        "figures": f"softmax less devise, points: {_figures(first)} at k = 1, {_figures(last)} at k = {largest}",
    }


def _gap(measurement: Measurement, metric: str) -> np.ndarray:
    return metric_values(measurement, "seen", "softmax", metric) - metric_values(measurement, "seen", "devise", metric)


def _hierarchical(measurement: Measurement, seed: int) -> dict[str, str]:
    ks = [k for k in measurement.ks["seen"] if k >= 5]
    if "seen" not in measurement.correct_sizes or not ks:
        raise KeyError("hp")
    leads = [difference(measurement, "seen", f"hp@{k}", "devise", "softmax", seed=seed) for k in ks]
    trails = [
        difference(measurement, "seen", f"hp@{k}", other, "random", seed=seed)
        for k in ks
        for other in ("devise", "softmax")
    ]
    shown = ", ".join(f"{_figures(d)} at {d['metric'].partition('@')[2]}" for d in leads)
    random = ", ".join(f"{_figures(d)} at {d['metric'].partition('@')[2]}" for d in trails[::2])
    return {
        "claim": "2. DeViSE leads softmax on hp@k from k = 5 up; random embeddings trail both.",
        "verdict": _verdict([(d["low"], d["high"]) for d in leads + trails]),
        "figures": f"hp@k of devise less softmax: {shown}; less random: {random}",
    }


def _zero_shot(measurement: Measurement, seed: int) -> dict[str, str]:
    metrics = [f"hit@{k}" for k in (1, 5) if k <= max(measurement.ks["unseen"])]
    above = [
        difference(measurement, "unseen", m, "devise", other, seed=seed)
        for m in metrics
        for other in ("chance", "random")
    ]
    shown = ", ".join(f"{_figures(d)} above {d['minus']} at {d['metric']}" for d in above)
    return {
        "claim": "3. Zero-shot is far above chance, and above random embeddings.",
        "verdict": _verdict([(d["low"], d["high"]) for d in above]),
        "figures": f"devise on unseen labels, points: {shown}",
    }


def _more_candidates(measurement: Measurement, seed: int) -> dict[str, str]:
    lowered = [
        difference(measurement, "unseen", f"hit@{k}", "devise", "devise", "unseen+seen", seed=seed)
        for k in measurement.ks["unseen"]
    ]
    shown = ", ".join(f"{_figures(d)} at {d['metric'].partition('@')[2]}" for d in lowered)
    return {
        "claim": "4. Adding the training labels to the candidates lowers flat hit@k.",
        "verdict": _verdict([(d["low"], d["high"]) for d in lowered]),
        "figures": f"devise on unseen labels, points lost at k: {shown}",
    }


def _rank_loss(measurement: Measurement, seed: int) -> dict[str, str]:
    ratios = []
    if "seen" not in measurement.outcomes:
        raise KeyError("seen")
    for setting in ("seen", "unseen"):
        if setting in measurement.outcomes:
            both = [metric_values(measurement, setting, model, "hit@1") for model in ("devise", "l2")]
            means = bootstrap_means(np.stack(both, axis=1), samples=SAMPLES, seed=seed)
            ratio = both[0].mean() / both[1].mean() if both[1].any() else float("inf")
            with_zero = means[:, 1] == 0
            drawn = means[~with_zero, 0] / means[~with_zero, 1]
            low, high = interval(drawn) if len(drawn) else (0.0, float("inf"))
            ratios.append((setting, ratio, low, high))
    return {
        # Half way from no difference to two.
        "claim": "5. Rank loss beats L2 by about two to one (counted as held from a ratio of 1.5).",
        "verdict": _verdict([(low - 1.5, high - 1.5) for setting, _, low, high in ratios if setting == "seen"]),
        "figures": "hit@1 of devise over l2: "
        + ", ".join(f"{ratio:.2f} [{low:.2f}, {high:.2f}] on {setting} labels" for setting, ratio, low, high in ratios),
    }


def _unfreezing(measurement: Measurement, seed: int) -> dict[str, str]:
    gain = difference(measurement, "seen", "hit@1", "devise", "devise_projection", seed=seed)
    if gain["difference"] == gain["low"] == gain["high"] == 0:
        raise KeyError("nothing was unfrozen")  # both rows are the same model
    # The paper's least gain is one point.
    return {
        "claim": "6. Unfreezing the CNN adds 1 to 3 points.",
        "verdict": HOLDS
        if gain["low"] > 0 and gain["difference"] >= 0.01
        else DOES_NOT
        if gain["high"] < 0.01
        else CANNOT_TELL,
        "figures": f"hit@1 on seen labels, points gained: {_figures(gain)}",
    }


def _verdict(intervals: Iterable[tuple[float, float]]) -> str:
    if any(high < 0 for _, high in intervals):
        return DOES_NOT
    return HOLDS if all(low > 0 for low, _ in intervals) else CANNOT_TELL


def _worst(verdicts: Collection[str]) -> str:
    return next(v for v in (DOES_NOT, CANNOT_TELL, HOLDS) if v in verdicts)


def _figures(row: Mapping[str, Any]) -> str:
    """A difference and its interval, in the metric's format."""
    text = format_of(row["metric"])
    return f"{text(row['difference'])} [{text(row['low'])}, {text(row['high'])}]"
