"""The evaluator against the paper's text in plain Python: one image at a time, by sorting and by sets."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.evaluation.measure.measurement import NEVER, Scorer, Setting, standard_settings
from devise_tf.metrics import HierarchicalPrecisionAtK, HitAtK, hierarchical_correct_sets
from tests.helpers import made_up
from tests.helpers.evaluator_oracle import answer_with_penalty, answers, correct_set
from tests.helpers.label_tables import table_of_labels
from tests.helpers.made_up import EMBEDDING, NOT_A_NUMBER, World, measure, same
from tests.helpers.tiny_run import environment

KS = (1, 2, 3, 5, 10, 20)


@pytest.fixture(scope="module", params=range(4))
def measured(request):
    """A world and its measurement. The softmax can answer no unseen label."""
    world = World(request.param)
    settings = standard_settings(world.seen, world.unseen)
    arguments = {"neighbors": world.neighbors, "ks": KS, "batch_size": 64}
    return world, measure(world.source(), world.scorers(), settings, **arguments)


def test_all_outcomes_against_sorting(measured):
    world, measurement = measured
    assert {name: list(models) for name, models in measurement.outcomes.items()} == {
        "seen": ["softmax", "devise", "terms"],
        "unseen": ["devise", "terms"],
        "unseen+seen": ["softmax", "devise", "terms"],
    }
    true = [world.label_ids[label] for label in world.labels]
    for name, setting in measurement.settings.items():
        ks, ids = measurement.ks[name], setting.candidate_ids
        assert ks == [k for k in KS if k <= len(ids)]
        images = measurement.images[name].tolist()
        assert images == [i for i, label in enumerate(true) if label in setting.label_ids]
        assert [setting.label_ids[position] for position in measurement.labels[name]] == [true[i] for i in images]
        correct = {
            (label, k): correct_set(world.neighbors, label, k, setting.valid_ids)
            for label in setting.label_ids
            for k in ks
        }
        for k in ks:
            sizes = [len(correct[label, k] & set(ids)) for label in setting.label_ids]
            assert measurement.correct_sizes[name][k].tolist() == sizes
        for model, (outcome,) in measurement.outcomes[name].items():
            for row, image in enumerate(images):
                label = true[image]
                ranked = {k: answers(world, model, ids, world.queries[image], k) for k in range(1, max(ks) + 1)}
                first_hit = min((k for k, answered in ranked.items() if label in answered), default=NEVER)
                assert outcome.first_hit[row] == first_hit, (model, name, image)
                right = [len(set(ranked[k]) & correct[label, k]) for k in ks]
                assert outcome.correct[row].tolist() == right, (model, name, image)
                assert outcome.first_answer[row] == (ids.index(ranked[1][0]) if ranked[1] else -1)


def test_generalized_outcomes_against_every_penalty(measured):
    world, measurement = measured
    assert list(measurement.generalized) == ["seen", "unseen"]
    for kind, models in measurement.generalized.items():
        assert list(models) == ["softmax", "devise", "terms"]
        for model, (outcome,) in models.items():
            for row, image in enumerate(measurement.images[kind]):
                label, query = world.label_ids[world.labels[image]], world.queries[image]
                # Scores are whole numbers: these are all penalties that differ in what they do, a seventh an image.
                for penalty in (-200.0, *np.arange(-40, 40.5, 0.5), 200.0)[row % 7 :: 7]:
                    wins = outcome.seen_lead[row] > penalty if kind == "seen" else outcome.seen_lead[row] <= penalty
                    expected = answer_with_penalty(world, model, query, penalty) == label
                    assert (outcome.right[row] and wins) == expected, (model, kind, image, penalty)


def test_batches_and_one_network_call_a_batch():
    """The same to the last digit in batches of any size; models with one network run it once a batch."""
    world = World(11, images=41)
    settings = standard_settings(world.seen, world.unseen)
    arguments = {"neighbors": world.neighbors, "ks": KS}
    whole = measure(world.source(), world.scorers(), settings, batch_size=41, **arguments)
    calls = tf.Variable(0)

    def counted(pixels):
        calls.assign_add(1)
        return made_up.network(pixels)

    assert same(measure(world.source(), world.scorers(counted), settings, batch_size=7, **arguments), whole)
    assert calls.numpy() == sum(-(-len(whole.images[kind]) // 7) for kind in ("seen", "unseen"))
    assert same(measure(world.source(), world.scorers(), settings, batch_size=1, **arguments), whole)


@pytest.mark.parametrize("decode", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_unreadable_images_leave_the_figures_of_the_others(decode):
    """Among them all images of a batch. With `decode` the queries come from encoded images."""
    world = World(11, images=41)
    settings = standard_settings(world.seen, world.unseen)
    whole = measure(world.source(), world.scorers(), settings, neighbors=world.neighbors)
    bad = [*whole.images["seen"][[0, 8, 9, *range(14, 21)]], *whole.images["unseen"][[-1]]]
    arguments = {"neighbors": world.neighbors, "decode": decode, "batch_size": 7}
    without = measure(world.source(bad), world.scorers(), settings, **arguments)
    for name in without.settings:
        chosen = ~np.isin(whole.images[name], bad)
        assert without.images[name].tolist() == whole.images[name][chosen].tolist()
        assert without.labels[name].tolist() == whole.labels[name][chosen].tolist()
        for part in ("outcomes", "generalized"):
            for model, (outcome,) in getattr(without, part).get(name, {}).items():
                (expected,) = getattr(whole, part)[name][model]
                for field, values in vars(outcome).items():
                    np.testing.assert_array_equal(values, vars(expected)[field][chosen])
    if not decode:
        with pytest.raises(ValueError, match="None of the images can be read. Received: made-up images"):
            measure(world.source(range(41)), world.scorers(), settings)


def test_scorers_of_one_name_are_seeds_in_their_order():
    """Twelve of them, since "10" is sorted before "2": model i answers label j by the value (i + j) mod 5."""
    world = World(3, images=40)
    vectors = [{label: np.eye(5)[(i + j) % 5] for j, label in enumerate(world.seen)} for i in range(12)]
    tables = [functools.partial(table_of_labels, vectors=v) for v in vectors]
    scorers = [Scorer("random", made_up.network, made_up.embedding, table) for table in tables]
    measurement = measure(world.source(), [*scorers, *world.scorers()], standard_settings(world.seen, []))
    assert list(measurement.outcomes["seen"]) == ["random", "softmax", "devise", "terms"]
    queries = world.queries[measurement.images["seen"]][:, EMBEDDING]
    for i, outcome in enumerate(measurement.outcomes["seen"]["random"]):
        positions = (i + np.arange(len(world.seen))) % 5
        expected = [-1 if NOT_A_NUMBER in query else int(np.argmax(query[positions])) for query in queries]
        assert outcome.first_answer.tolist() == expected


def test_public_metrics_give_the_same_figures():
    """On scores without NaN, and on queries that are nothing else, for which there is no answer."""
    world = World(7)
    finite = np.where(world.queries == NOT_A_NUMBER, 3, world.queries)
    finite[:9] = NOT_A_NUMBER
    world.queries = finite
    rng = np.random.default_rng(0)
    vectors = {label: rng.integers(-3, 4, 5) for label in world.label_ids}
    table = functools.partial(table_of_labels, vectors=vectors)
    settings = standard_settings(world.seen, world.unseen)
    scorer = Scorer("devise", made_up.network, made_up.embedding, table)
    measured = measure(world.source(), [scorer], settings, neighbors=world.neighbors)
    for setting in settings:
        name, ids = setting.name, setting.candidate_ids
        queries = finite[measured.images[name]][:, EMBEDDING].astype("float32") - 3
        queries[queries == NOT_A_NUMBER - 3] = np.nan
        scores = queries @ np.stack([vectors[label] for label in ids], axis=1)
        rows = measured.labels[name]
        position = np.array([ids.index(label) for label in setting.label_ids])[rows]
        (outcome,) = measured.outcomes[name]["devise"]
        for column, k in enumerate(measured.ks[name]):
            hit = HitAtK(k)
            hit.update_state(position, scores)
            assert float(hit.result()) == pytest.approx(np.mean(outcome.first_hit <= k), abs=1e-6)
            sets = hierarchical_correct_sets(world.neighbors, setting.label_ids, [k], setting.valid_ids)[k]
            precision = HierarchicalPrecisionAtK(k, [{ids.index(i) for i in one if i in ids} for one in sets])
            good = ~np.isnan(scores).any(axis=1)
            precision.update_state(rows[good], scores[good])
            assert float(precision.result()) == pytest.approx(np.mean(outcome.correct[good, column] / k), abs=1e-6)
            assert not outcome.correct[~good].any()


def test_more_than_255_answers():
    """One group of 300 labels: every answer is correct, and there are more of them than a byte holds."""
    labels = [f"l{i}" for i in range(300)]
    source = made_up.QueryImages(labels, np.arange(300), np.zeros((300, 1)))
    table = table_of_labels(labels, {label: [1.0] for label in labels})
    head = Scorer("devise", made_up.network, lambda values: values[:, :1], lambda ids: table)
    measured = measure(source, [head], standard_settings(labels, []), neighbors={"root": labels}, ks=(300,))
    (outcome,) = measured.outcomes["seen"]["devise"]
    assert (outcome.correct == 300).all()
    assert outcome.first_hit.tolist() == list(range(1, 301))


def test_images_of_unseen_labels_only():
    """There is no accuracy on seen labels then, and nothing that is generalized."""
    world = World(5, images=60)
    source = world.source().select(world.unseen)
    measured = measure(source, world.scorers(), standard_settings(world.seen, world.unseen, measured=world.unseen))
    assert list(measured.settings) == ["unseen", "unseen+seen"]
    assert measured.generalized == {} and measured.correct_sizes == {}


def test_settings_without_images_or_ks_are_named():
    world = World(5, images=60)
    settings = standard_settings(world.seen, world.unseen)
    with pytest.raises(ValueError, match="No label of the setting 'unseen' has images.*Received: label_ids"):
        measure(world.source().select(world.seen), world.scorers(), settings)
    with pytest.raises(ValueError, match=r"at most the 3 candidates of the setting 'seen'. Received: ks=\[5, 10\]"):
        few = world.seen[:3]
        measure(world.source(), world.scorers(), [Setting("seen", few, few, few)], ks=(5, 10))


SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from devise_tf.evaluation.measure.measurement import standard_settings
from tests.helpers.made_up import World, measure, same
world = World(11, images=61)
settings = standard_settings(world.seen, world.unseen)
arguments = {"neighbors": world.neighbors, "batch_size": 8}
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
bad = [4, 40]
two = measure(world.source(bad), world.scorers() * 4, settings, strategy=strategy, **arguments)
one = measure(world.source(bad), world.scorers() * 4, settings, **arguments)
try:
    measure(world.source(), world.scorers(), settings, strategy=strategy, batch_size=7)
except ValueError as error:
    print(json.dumps({"same": same(one, two), "images": len(two.images["seen"]), "error": str(error)}))
"""


@pytest.mark.slow
def test_two_devices_equal_one():
    """A process of its own, for devices are made once."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["same"] and outcome["images"]
    assert outcome["error"].startswith("`batch_size` must be divisible by the 2 devices. Received: batch_size=7")
