"""Figures against loops over images, over penalties, and plain resampling."""

import functools

import numpy as np
import pytest

from devise_tf.evaluation.figures.generalized import (
    choose_penalty,
    generalized_curve,
    generalized_difference,
    harmonic_mean,
)
from devise_tf.evaluation.figures.metrics import metric_values, metrics_of
from devise_tf.evaluation.figures.summary import difference, summarize
from devise_tf.evaluation.measure.measurement import Scorer, standard_settings
from tests.helpers import made_up
from tests.helpers.label_tables import table_of_outputs
from tests.helpers.made_up import World, measure, measurement, outcomes


def random_measurement(seed, images=(80, 50), step=0.0):
    """A model with one seed, one with two, and a softmax of seen labels; leads are multiples of `step`."""
    rng = np.random.default_rng(seed)
    count = dict(zip(("seen", "unseen", "unseen+seen"), (*images, images[1]), strict=True))
    labels = {"seen": rng.integers(0, 6, count["seen"]), "unseen": rng.integers(0, 4, count["unseen"])}
    labels["unseen+seen"] = labels["unseen"]

    def drawn(n):
        return outcomes(rng.integers(1, 9, n), rng.integers(0, 3, (n, 3)))

    def leads(kind):
        n = count[kind]
        values = rng.normal(0.5 if kind == "seen" else 0.2, 1, n)
        return np.round(values / step) * step if step else values, rng.random(n) < 0.6

    answered = {name: {"devise": [drawn(n)], "random": [drawn(n), drawn(n)]} for name, n in count.items()}
    generalized = {
        kind: {
            "softmax": [(np.full(count[kind], np.inf), (rng.random(count[kind]) < 0.7) & (kind == "seen"))],
            "devise": [leads(kind)],
            "random": [leads(kind), leads(kind)],
        }
        for kind in ("seen", "unseen")
    }
    sizes = {name: {k: rng.integers(1, k + 3, 6) for k in (1, 2, 5)} for name in labels}
    return measurement(
        labels, {"seen": 6, "unseen": 4, "unseen+seen": 10}, answered, sizes=sizes, generalized=generalized
    )


def accuracies(measured, model, penalty):
    """Of each seed: the means over labels of the shares of their images that are right, for seen and unseen labels."""
    result = []
    for kind in ("seen", "unseen"):
        labels, per_seed = measured.labels[kind], []
        for o in measured.generalized[kind][model]:
            shares = []
            for label in sorted(set(labels.tolist())):
                hits = [
                    bool(right) and (float(lead) > penalty) == (kind == "seen")
                    for lead, right, label_of_image in zip(o.seen_lead, o.right, labels, strict=True)
                    if label_of_image == label
                ]
                shares.append(sum(hits) / len(hits))
            per_seed.append(sum(shares) / len(shares))
        result.append(per_seed)
    return list(zip(*result, strict=True))


def harmonic(measured, model, penalty):
    return np.mean([2 * a * b / (a + b) if a + b else 0.0 for a, b in accuracies(measured, model, penalty)])


def all_leads(measured, model):
    parts = [o.seen_lead for kind in ("seen", "unseen") for o in measured.generalized[kind][model]]
    leads = np.unique(np.concatenate(parts).astype(float))
    return leads[np.isfinite(leads)]


@pytest.mark.parametrize("seed", range(3))
def test_means_over_images_and_seeds(seed):
    measured = random_measurement(seed)
    report = summarize(measured, {"devise": 0.3})
    assert metrics_of(measured, "seen") == ["hit@1", "hit@2", "hit@5", "hp@1", "hp@2", "hp@5"]
    for setting, labels in measured.labels.items():
        assert list(report[setting]) == ["devise", "random", "chance"]
        candidates = {"seen": 6, "unseen": 4, "unseen+seen": 10}[setting]
        for i, k in enumerate((1, 2, 5)):
            for model in ("devise", "random"):
                runs = measured.outcomes[setting][model]
                hits = [sum(int(first) <= k for first in o.first_hit) / len(labels) for o in runs]
                precisions = [sum(int(row[i]) / k for row in o.correct) / len(labels) for o in runs]
                for metric, values in ((f"hit@{k}", hits), (f"hp@{k}", precisions)):
                    figure = report[setting][model][metric]
                    assert figure == pytest.approx(sum(values) / len(values))
                    low, high = report["intervals"][setting][model][metric]
                    assert low <= figure <= high
                    if model == "random":
                        assert report["seeds"][setting]["random"][metric] == pytest.approx(values)
            chance = report[setting]["chance"]
            assert chance[f"hit@{k}"] == pytest.approx(k / candidates)
            sizes = [measured.correct_sizes[setting][k][label] for label in labels]
            assert chance[f"hp@{k}"] == pytest.approx(sum(sizes) / len(sizes) / candidates)
    assert list(report["seeds"]["seen"]) == ["random"]
    for model in ("softmax", "devise", "random"):
        row = report["generalized"][model]
        both = accuracies(measured, model, 0.0)
        assert (row["seen"], row["unseen"]) == pytest.approx(tuple(np.mean(both, axis=0)))
        assert row["harmonic"] == pytest.approx(harmonic(measured, model, 0.0))
    assert report["generalized"]["devise"]["penalized"]["penalty"] == 0.3
    assert report["generalized"]["devise"]["penalized"]["harmonic"] == pytest.approx(harmonic(measured, "devise", 0.3))
    assert "penalized" not in report["generalized"]["random"]
    assert report["generalized"]["chance"] == {"seen": 0.1, "unseen": 0.1, "harmonic": 0.1}


def test_chance_is_that_of_the_paper():
    """Table 1: mean sizes of the correct sets of 1,000 labels to hp@k, both as they are printed, to half a digit."""
    means = {1: 1, 2: 6.5, 5: 12.5, 10: 22.5, 20: 41.7}
    sizes = {k: np.full(1000, int(mean)) + (np.arange(1000) % 10 < round(10 * (mean % 1))) for k, mean in means.items()}
    measured = measurement({"seen": np.arange(1000)}, {"seen": 1000}, {"seen": {}}, ks=means, sizes={"seen": sizes})
    chance = summarize(measured)["seen"]["chance"]
    printed = {"hit@1": 0.001, "hit@2": 0.002, "hit@5": 0.005, "hit@10": 0.01}
    assert {m: chance[m] for m in printed} == pytest.approx(printed)
    for k, value in {2: 0.007, 5: 0.013, 10: 0.022, 20: 0.042}.items():
        assert chance[f"hp@{k}"] == pytest.approx(means[k] / 1000) and abs(chance[f"hp@{k}"] - value) <= 0.0005 + 1e-9


def test_chance_is_what_a_random_ranker_gets():
    """Within 4 standard errors, for 6,000 images whose labels are ranked at random."""
    world, rng = World(2, images=6000), np.random.default_rng(0)
    world.queries = rng.permuted(np.tile(np.arange(len(world.label_ids)), (6000, 1)), axis=1)
    table = functools.partial(table_of_outputs, outputs=world.label_ids)
    ranker = Scorer("ranker", made_up.network, made_up.logits, table)
    settings = standard_settings(world.seen, world.unseen)
    measured = measure(world.source(), [ranker], settings, neighbors=world.neighbors, batch_size=3000)
    for setting in ("seen", "unseen", "unseen+seen"):
        for metric in metrics_of(measured, setting):
            values = metric_values(measured, setting, "ranker", metric)
            expected = metric_values(measured, setting, "chance", metric)
            error = (values - expected).std() / np.sqrt(len(values))
            assert abs(values.mean() - expected.mean()) <= 4 * error + 1e-9, (setting, metric)


@pytest.mark.parametrize("step", [0.0, 0.25])
@pytest.mark.parametrize("seed", range(5))
def test_chosen_penalty_has_the_best_harmonic_mean(seed, step):
    measured = random_measurement(seed, images=(24, 18), step=step)
    for model in ("devise", "random"):
        leads = all_leads(measured, model)
        between = (leads[1:] + leads[:-1]) / 2
        best = max(harmonic(measured, model, p) for p in [leads[0] - 1, *leads, *between, leads[-1] + 1])
        chosen = choose_penalty(measured, model)
        assert harmonic(measured, model, chosen) == pytest.approx(best, abs=1e-12)
        # Not at an edge, where it would depend on the last digit.
        assert chosen not in leads or chosen == leads[-1]
    assert choose_penalty(measured, "softmax") == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_curve_and_area(seed):
    measured = random_measurement(seed, images=(24, 18), step=0.25)
    report = summarize(measured)["generalized"]
    for model, area in (("devise", None), ("random", None), ("softmax", 0.0)):
        runs, steps = len(measured.generalized["seen"][model]), [-np.inf, *all_leads(measured, model), np.inf]
        points = np.array([accuracies(measured, model, p) for p in steps])  # [penalties, runs, 2]
        if area is None:
            areas = [
                sum((a[0] - b[0]) * (a[1] + b[1]) / 2 for a, b in zip(points[:-1, i], points[1:, i], strict=True))
                for i in range(runs)
            ]
            area = sum(areas) / runs
        assert report[model]["area"] == pytest.approx(area, abs=1e-12)
        seen, unseen = generalized_curve(measured, model, points=50)
        assert seen.shape == unseen.shape == (50,)
        assert (np.diff(seen) <= 0).all() and (np.diff(unseen) >= 0).all()
        ends = np.array([(seen[0], unseen[0]), (seen[-1], unseen[-1])])
        np.testing.assert_allclose(ends, points[[0, -1]].mean(axis=1), atol=1e-12)
        on_curve = {tuple(np.round(point, 9)) for point in points.mean(axis=1)}
        assert {tuple(np.round(point, 9)) for point in zip(seen, unseen, strict=True)} <= on_curve


def test_images_of_seen_and_of_unseen_labels_are_drawn_independently():
    """Equal columns a and b: their harmonic mean is near (a + b) / 2, of the deviation of one over the root of two."""
    labels, right = np.arange(900) % 9, np.arange(900) // 9 % 2 == 0
    rows = {"seen": {"devise": [(np.ones(900), right)]}, "unseen": {"devise": [(-np.ones(900), right)]}}
    answered = {"seen": {}, "unseen": {}, "unseen+seen": {}}
    measured = measurement(dict.fromkeys(answered, labels), dict.fromkeys(answered, 9), answered, generalized=rows)
    intervals = summarize(measured)["intervals"]["generalized"]["devise"]
    width = {name: high - low for name, (low, high) in intervals.items()}
    assert width["seen"] == pytest.approx(2 * 1.96 * 0.5 / 30, rel=0.12)
    assert width["harmonic"] == pytest.approx(width["seen"] / np.sqrt(2), rel=0.12)


def test_penalties_between_neighboring_numbers_of_single_precision():
    """The middle between two such numbers is one of them when it is rounded: figure and interval must agree on it."""
    for exponent in range(4):
        low = np.nextafter(np.float32(1.5**exponent), np.float32(9))
        high = np.nextafter(low, np.float32(9))
        rows = {"seen": {"devise": [([high], [True])]}, "unseen": {"devise": [([low], [True])]}}
        answered = {"seen": {}, "unseen": {}, "unseen+seen": {}}
        measured = measurement(dict.fromkeys(answered, [0]), dict.fromkeys(answered, 2), answered, generalized=rows)
        report = summarize(measured, {"devise": choose_penalty(measured, "devise")})
        assert report["generalized"]["devise"]["penalized"]["harmonic"] == 1.0
        assert report["intervals"]["generalized"]["devise"]["penalized.harmonic"] == [1.0, 1.0]


def test_differences_are_paired():
    measured = random_measurement(0, images=(400, 300))
    result = difference(measured, "unseen", "hit@2", "devise", "random", minus_setting="unseen+seen")
    values = metric_values(measured, "unseen", "devise", "hit@2") - metric_values(
        measured, "unseen+seen", "random", "hit@2"
    )
    rng = np.random.default_rng(5)
    plain = [values[rng.integers(0, 300, 300)].mean() for _ in range(4000)]
    assert result["difference"] == pytest.approx(values.mean())
    assert [result["low"], result["high"]] == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.3 * np.std(plain))
    assert difference(measured, "seen", "hit@1", "devise", "devise") == {
        **{"setting": "seen", "metric": "hit@1", "model": "devise", "minus": "devise"},
        **{"difference": 0.0, "low": 0.0, "high": 0.0},
    }


def test_generalized_difference_is_paired():
    measured = random_measurement(1, images=(400, 300))
    penalties = {"devise": 0.4}
    result = generalized_difference(measured, "devise", "random", penalties)
    expected = harmonic(measured, "devise", 0.4) - harmonic(measured, "random", 0.0)
    assert result["difference"] == pytest.approx(expected) and result["low"] < expected < result["high"]
    same = generalized_difference(measured, "devise", "devise", penalties)
    assert same["difference"] == same["low"] == same["high"] == 0.0


def test_harmonic_mean_is_zero_where_one_side_is():
    result = harmonic_mean(np.array([0.0, 0.5, 0.2, 1.0]), np.array([0.0, 0.5, 0.6, 0.0]))
    assert result == pytest.approx([0, 0.5, 0.3, 0])
