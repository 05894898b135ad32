"""Both ways of answering in one pass: each measurement is that of its way alone."""

import dataclasses
import functools

import pytest

from devise_tf.evaluation.measure.answers import by_answers, other_answers, with_other_answers
from devise_tf.evaluation.measure.measurement import standard_settings
from tests.helpers.label_tables import table_of_labels, table_of_terms
from tests.helpers.made_up import World, measure, same


def test_there_are_two_ways():
    assert other_answers("labels") == "terms" and other_answers("terms") == "labels"


@pytest.mark.parametrize("answers", ["labels", "terms"])
def test_one_pass_measures_what_two_would(answers):
    """The model is measured in both ways, those with one way, or of which nothing is claimed, in one."""
    world = World(3)
    softmax, devise, terms = world.scorers()
    ways = {
        "labels": functools.partial(table_of_labels, vectors=world.label_vectors),
        "terms": functools.partial(table_of_terms, vectors=world.term_vectors),
    }
    of_way = {way: dataclasses.replace(devise, candidates=table) for way, table in ways.items()}
    both = dataclasses.replace(of_way[answers], other_candidates=ways[other_answers(answers)])
    settings = standard_settings(world.seen, world.unseen)
    arguments = {"neighbors": world.neighbors, "ks": (1, 2, 5)}
    scorers = with_other_answers([softmax, both, both, terms])  # two seeds
    assert [scorer.name for scorer in scorers[:4]] == ["softmax", "devise", "devise", "terms"] and len(scorers) == 6
    measured = by_answers(measure(world.source(), scorers, settings, **arguments), answers)
    assert list(measured) == ["labels", "terms"]
    for way, scorer in of_way.items():
        alone = measure(world.source(), [softmax, scorer, scorer, terms], settings, **arguments)
        assert same(measured[way], alone)
    assert not same(measured["labels"], measured["terms"])
