"""Made-up measurements for which each verdict comes out."""

import numpy as np
import pytest

from devise_tf.evaluation.figures.claims import check_claims
from devise_tf.evaluation.measure.measurement import NEVER
from tests.helpers.made_up import measurement, outcomes

IMAGES = 20_000  # so many that intervals are narrower than the bounds
# Shares of images with a hit at 1, 2 and 5, and the mean number of correct answers among the first five.
SEEN = {
    "softmax": (0.556, 0.674, 0.785, 1.7),
    "devise": (0.535, 0.664, 0.784, 1.9),
    "random": (0.50, 0.62, 0.74, 1.5),
    "l2": (0.25, 0.35, 0.45, 1.0),
    "devise_projection": (0.515, 0.65, 0.77, 1.8),
}
# Of the paper's own recipe; it is measured where a test says so.
PAPER = {"paper": (0.54, 0.668, 0.784, 1.9), "paper_projection": (0.52, 0.65, 0.77, 1.8)}
UNSEEN = {"devise": (0.18, 0.26, 0.40, 1.5), "random": (0.10, 0.2, 0.33, 1), "l2": (0.09, 0.15, 0.25, 1)}
BOTH = {"devise": (0.02, 0.08, 0.20, 1.2)}
SIZES = {"seen": 20, "unseen": 15, "unseen+seen": 35}


def made_up(seen=None, unseen=None, both=None, images=IMAGES, **arguments):
    """The models' rows, some of them changed or, by None, taken away. Images are hit in the same order."""
    answered = {}
    rows = (("seen", SEEN, seen), ("unseen", UNSEEN, unseen), ("unseen+seen", BOTH, both))
    for setting, usual, changes in rows:
        models = {model: row for model, row in {**usual, **(changes or {})}.items() if row}
        answered[setting] = {}
        for model, (at_1, at_2, at_5, correct) in models.items():
            position = (np.arange(images) + 0.5) / images
            first = np.where(position < at_1, 1, np.where(position < at_2, 2, np.where(position < at_5, 5, NEVER)))
            right = np.zeros((images, 3), int)
            right[:, 2] = np.floor(correct) + (np.arange(images) * 7 % 10 < round(10 * (correct % 1)))
            answered[setting][model] = [outcomes(first, right)]
    labels = {name: np.arange(images) % 10 for name in answered}
    sizes = {name: {k: np.full(10, 3) for k in (1, 2, 5)} for name in answered}
    return measurement(labels, SIZES, answered, **{"sizes": sizes, **arguments})


def verdicts(measured, frozen=()):
    claims = check_claims({"labels": measured}, frozen)
    return {int(claim["claim"][0]): claim["answers"]["labels"]["verdict"] for claim in claims}


def rows(claims):
    """The number of each claim and the model that it is about."""
    return [(int(claim["claim"][0]), claim["model"]) for claim in claims]


def test_paper_like_figures_make_all_claims_hold():
    result = check_claims({"labels": made_up()})
    assert rows(result) == [(number, "devise") for number in range(1, 7)]
    assert {claim["answers"]["labels"]["verdict"] for claim in result} == {"holds"}
    figures = [claim["answers"]["labels"]["figures"] for claim in result]
    assert figures[0].startswith("softmax less devise, points: 2.1 [") and "0.1 [" in figures[0]
    assert "smaller there by 2.0 [" in figures[0]
    assert figures[1].startswith("hp@k of devise less softmax: 0.040 [")
    assert "devise less random: 0.080 [" in figures[1] and "softmax less random: 0.040 [" in figures[1]
    assert "11.3 [" in figures[2] and "above chance at hit@1" in figures[2] and "above random at hit@5" in figures[2]
    assert "16.0 [" in figures[3] and "at 1, 18.0" in figures[3]
    assert figures[4].startswith("hit@1 of devise over l2: 2.14 [") and "2.00 [" in figures[4]
    assert figures[5].startswith("hit@1 of devise on seen labels, points gained: 2.0 [")


def test_every_claim_says_what_it_tests():
    tests = [claim["test"] for claim in check_claims({"labels": made_up()})]
    for number, stated in enumerate(("above 0 and below 3", "hp@k", "chance", "all candidates", "1.5 and below 3")):
        assert stated in tests[number]
    assert "above 1 and below 3 points" in tests[5] and len(set(tests)) == 6


def test_claims_are_held_against_both_ways_of_answering():
    """By terms DeViSE is far behind, so that only these verdicts change."""
    by_terms = made_up(seen={"devise": (0.50, 0.664, 0.784, 1.9)})
    result = check_claims({"labels": made_up(), "terms": by_terms})
    assert [list(claim["answers"]) for claim in result] == [["labels", "terms"]] * 6
    assert {claim["answers"]["labels"]["verdict"] for claim in result} == {"holds"}
    terms = [claim["answers"]["terms"]["verdict"] for claim in result]
    assert terms == ["does not hold", "holds", "holds", "holds", "holds", "does not hold"]
    assert "5.6 [" in result[0]["answers"]["terms"]["figures"]


def test_claims_are_held_against_the_papers_recipe_as_well():
    """Each for both, but for the loss: that of the paper's recipe is compared with L2."""
    measured = made_up(seen=PAPER, unseen={"paper": (0.05, 0.26, 0.40, 1)}, both={"paper": BOTH["devise"]})
    result = check_claims({"labels": measured})
    both = [(number, model) for number in (1, 2, 3, 4) for model in ("devise", "paper")]
    assert rows(result) == [*both, (5, "paper"), (6, "devise"), (6, "paper")]
    refuted = [row for row, claim in zip(rows(result), result, strict=True) if "not" in str(claim["answers"])]
    assert refuted == [(3, "paper")]
    assert result[8]["answers"]["labels"]["figures"].startswith("hit@1 of paper over l2: 2.16 [")


@pytest.mark.parametrize(
    ("frozen", "changes", "model"),
    [
        ((), PAPER, "paper"),
        ((), {}, "devise"),
        (("softmax", "l2", "paper_projection", "devise_projection"), PAPER, "paper_projection"),
        (("softmax", "l2", "devise_projection"), {}, "devise_projection"),
        # Nothing was unfrozen: the projection is the same model again.
        (("softmax", "l2", "paper_projection", "paper"), PAPER, "paper"),
        # The CNN of one learned, that of the other did not.
        (("softmax", "l2", "devise_projection"), {"devise_projection": None}, None),
        (("softmax", "devise", "devise_projection"), {}, None),
    ],
)
def test_losses_are_compared_where_the_cnn_learned_in_both_or_in_neither(frozen, changes, model):
    unseen = dict.fromkeys([*changes, "devise_projection"], UNSEEN["devise"])
    measured = made_up(seen=changes, unseen=unseen)
    compared = [row for row in rows(check_claims({"labels": measured}, frozen)) if row[0] == 5]
    assert compared == ([] if model is None else [(5, model)])


@pytest.mark.parametrize(
    ("claim", "verdict", "changes"),
    [
        (1, "does not hold", {"seen": {"devise": (0.58, 0.68, 0.79, 1.9)}}),
        (1, "does not hold", {"seen": {"devise": (0.52, 0.66, 0.784, 1.9)}}),  # by more than a little
        (1, "does not hold", {"seen": {"devise": (0.54, 0.6, 0.7, 1.9)}}),  # the gap grows with k
        (1, "cannot tell", {"seen": {"devise": (0.536, 0.664, 0.765, 1.9)}}),  # the gap stays
        (1, "cannot tell", {"seen": {"devise": (0.526, 0.66, 0.784, 1.9)}}),  # by three points
        (1, "cannot tell", {"images": 60}),
        (2, "does not hold", {"seen": {"devise": (0.535, 0.664, 0.784, 1.6)}}),
        (2, "does not hold", {"seen": {"random": (0.5, 0.62, 0.74, 1.8)}}),  # it trails DeViSE alone
        (2, "does not hold", {"seen": {"devise": (0.535, 0.664, 0.784, 1.7)}}),  # it does not lead
        (2, "cannot tell", {"seen": {"devise": (0.535, 0.664, 0.784, 1.8)}, "images": 20}),
        (3, "does not hold", {"unseen": {"devise": (0.05, 0.26, 0.40, 1)}}),  # chance is 1 / 15
        (3, "does not hold", {"unseen": {"random": (0.2, 0.2, 0.33, 1)}}),
        (3, "does not hold", {"unseen": {"random": (0.18, 0.2, 0.33, 1)}}),
        (3, "cannot tell", {"unseen": {"random": (0.16, 0.2, 0.33, 1)}, "images": 60}),
        (4, "does not hold", {"both": {"devise": (0.2, 0.3, 0.5, 1)}}),
        (4, "does not hold", {"both": {"devise": (0.18, 0.2, 0.3, 1)}}),  # at k = 1 nothing is lost
        (4, "cannot tell", {"both": {"devise": (0.16, 0.2, 0.3, 1)}, "images": 60}),
        (5, "does not hold", {"seen": {"l2": (0.45, 0.5, 0.6, 1)}}),
        (5, "does not hold", {"seen": {"l2": (0.15, 0.3, 0.4, 1)}}),  # by far more than two to one
        (5, "cannot tell", {"seen": {"l2": (0.355, 0.5, 0.6, 1)}}),
        (5, "cannot tell", {"seen": {"l2": (0.178, 0.3, 0.4, 1)}}),
        (5, "cannot tell", {"seen": {"l2": (0, 0, 0, 0)}}),  # there is no ratio
        (6, "does not hold", {"seen": {"devise_projection": (0.533, 0.65, 0.77, 1)}}),
        (6, "does not hold", {"seen": {"devise_projection": (0.6, 0.65, 0.77, 1)}}),
        (6, "does not hold", {"seen": {"devise_projection": (0.49, 0.65, 0.77, 1)}}),  # by more than three points
        (6, "cannot tell", {"seen": {"devise_projection": (0.525, 0.65, 0.77, 1)}}),
        (6, "cannot tell", {"seen": {"devise_projection": (0.505, 0.65, 0.77, 1)}}),
        (6, "cannot tell", {"seen": {"devise_projection": (0.515, 0.65, 0.77, 1)}, "images": 60}),
    ],
)
def test_changed_figures_change_the_verdict(claim, verdict, changes):
    result = verdicts(made_up(**changes))
    assert result[claim] == verdict
    assert len(result) == 6


@pytest.mark.parametrize(
    ("left", "changes"),
    [
        ([3, 4, 5, 6], {"seen": {"softmax": None}}),
        ([1, 3, 4, 5, 6], {"sizes": {}}),
        ([1, 2, 4, 5, 6], {"unseen": {"random": None}}),
        ([1, 2, 3, 5, 6], {"both": {"devise": None}}),
        ([1, 2, 3, 4, 6], {"seen": {"l2": None}}),
        ([1, 2, 3, 4, 5], {"seen": {"devise_projection": None}}),
        ([1, 2, 3, 4, 5], {"seen": {"devise_projection": SEEN["devise"]}}),  # nothing was unfrozen
        ([3, 4, 5, 6], {"ks": (1,)}),  # there is no larger k
        ([], {"seen": {"devise": None}, "unseen": {"devise": None}}),
    ],
)
def test_claims_about_missing_models_are_absent(left, changes):
    assert list(verdicts(made_up(**changes))) == left


def without(measured, *settings):
    for part in (measured.settings, measured.ks, measured.images, measured.labels, measured.outcomes):
        for name in settings:
            del part[name]
    measured.correct_sizes.clear()
    return measured


def test_claims_about_missing_settings_are_absent():
    assert list(verdicts(without(made_up(), "unseen", "unseen+seen"))) == [1, 5, 6]
    # Images of unseen labels alone tell nothing of the claims about seen ones.
    assert list(verdicts(without(made_up(), "seen"))) == [3, 4]


def test_zero_shot_claim_needs_no_ks_of_the_tables():
    """The zero-shot claim is about the first and the first five answers, whatever the tables show."""
    measured = made_up(ks=(2, 5, 10))
    claims = check_claims({"labels": measured})
    assert "above chance at hit@1" in claims[2]["answers"]["labels"]["figures"]
    assert verdicts(measured)[3] == "holds"
    assert verdicts(made_up(ks=(2, 5, 10), unseen={"devise": (0.05, 0.1, 0.2, 1)}))[3] == "does not hold"
