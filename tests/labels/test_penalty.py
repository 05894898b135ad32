"""Which entries lose a penalty, and when it counts, by the rule in plain Python."""

import numpy as np
import pytest

from devise_tf.labels import LabelSet, OutputSpace, Penalty, RandomSpace, WordSpace

TERMS = ["n01440764", "cat", "snow", "leopard", "snow_leopard", "ounce", "red", "panda", "zebra", "tench", "polar"]
VECTORS = np.random.default_rng(0).normal(size=(len(TERMS), 4)).astype(np.float32)
TRAINED = LabelSet(
    ["n01440764", "n2", "n3", "n4"],
    [["tench"], ["snow leopard", "ounce"], ["red panda", "lesser panda"], ["no such thing"]],
)


def space(label_terms="first", amount=0.25, **others):
    described = frozenset({"n01440764"})
    penalty = None if amount is None else Penalty(amount, TRAINED)
    return WordSpace(TERMS, VECTORS, label_terms, None, "drop", described=described, penalty=penalty, **others)


# Texts and whether they are made of what terms of trained labels are made of: their whole terms, the id of the
# described one, and the composed first term of the one that has no whole term.
TEXTS = {
    "cat": False, "Snow Leopard": True, "ounces": True, "a photo of the snow leopard": True, "snow": False,
    "red panda": True, "red pandas": True, "panda red": False, "panda": False, "snow leopard cat": False,
    "n01440764": True, "tench": True, "lesser panda": None, "polar red panda": False, "no such thing": None,
}  # fmt: skip
KNOWN = {text: trained for text, trained in TEXTS.items() if trained is not None}


def test_entries_of_trained_labels_lose_the_penalty():
    table = space().table(list(TEXTS))
    assert table.ids == list(KNOWN)
    expected = np.where(list(KNOWN.values()), np.float32(0.25), 0)
    np.testing.assert_array_equal(table.penalties, expected)
    np.testing.assert_array_equal(table.offsets, -expected)
    assert table.offsets.dtype == np.float32
    np.testing.assert_array_equal(table.values, space(amount=None).table(list(TEXTS)).values)


@pytest.mark.parametrize("trained", [True, False])
def test_lists_of_one_kind_lose_nothing(trained):
    texts = [text for text, kind in KNOWN.items() if kind == trained]
    np.testing.assert_array_equal(space().table(texts).offsets, np.zeros(len(texts), np.float32))
    # Nor does what is left of a list of both.
    part = space().table(list(KNOWN)).select(texts)
    np.testing.assert_array_equal(part.penalties, np.full(len(texts), 0.25 * trained, np.float32))
    np.testing.assert_array_equal(part.offsets, np.zeros(len(texts)))
    # An unknown label is no label of the list.
    np.testing.assert_array_equal(space().table([*texts, "no such thing"]).offsets, np.zeros(len(texts)))


def test_penalties_follow_the_labels_that_are_selected():
    table = space().table(list(KNOWN)).select(["cat", "red panda", "ounces", "snow"])
    np.testing.assert_array_equal(table.offsets, [0, -0.25, -0.25, 0])


@pytest.mark.parametrize(("label_terms", "is_trained"), [("first", True), ("mean", False), ("heads", False)])
def test_label_of_several_terms_is_trained_if_all_are_that_it_is_made_of(label_terms, is_trained):
    labels = LabelSet(["a", "b", "c"], [["ounce", "cat"], ["ounce", "unknown", "snow leopard"], ["zebra"]])
    table = space(label_terms).table(labels)
    np.testing.assert_array_equal(table.offsets, [-0.25 * is_trained, -0.25, 0])


def test_terms_are_entries_of_their_own():
    labels = LabelSet(["a", "b", "n01440764"], [["ounce", "cat"], ["red panda"], ["goldfish"]])
    table = space().table(labels, "terms")
    assert [list(rows) for rows in table.entries] == [[0, 1], [2], [3]]
    np.testing.assert_array_equal(table.offsets, [-0.25, 0, -0.25, -0.25])


def test_spaces_without_a_penalty_take_nothing():
    for table in (
        space(amount=None).table(list(KNOWN)),
        OutputSpace.of(TRAINED).table(["ounce", "tench"]),
        RandomSpace(space(amount=None), 0).table(list(KNOWN)),
    ):
        assert table.penalties is None
        np.testing.assert_array_equal(table.offsets, np.zeros(len(table), np.float32))
    assert "penalty" not in space(amount=None).facts()


def test_terms_that_the_penalty_needs_can_be_requested():
    terms, vectors = space().requestable_terms((), 0)
    # All that terms of trained labels may be made of.
    expected = ["n01440764", "snow", "leopard", "snow_leopard", "ounce", "red", "panda", "tench"]
    assert terms == expected
    np.testing.assert_array_equal(vectors, VECTORS[[TERMS.index(term) for term in expected]])
    assert space(amount=None).requestable_terms((), 0)[0] == []


def test_facts_give_the_penalty_again():
    facts = space().facts()
    trained = facts["trained_labels"]
    assert facts["penalty"] == 0.25 and LabelSet(list(trained), list(trained.values())) == TRAINED


@pytest.mark.parametrize("amount", [-0.1, np.nan, np.inf, "0.1", True, None])
def test_amounts_that_are_no_penalty_are_refused(amount):
    with pytest.raises(ValueError, match="`penalty` must be a finite number, not negative. Received: penalty="):
        Penalty(amount, TRAINED)
