import dataclasses

import numpy as np
import pytest

from devise_tf.evaluation.measure.measurement import split, standard_settings
from tests.helpers.made_up import measurement, outcomes

SEEN, UNSEEN = ["a", "b", "c"], ["x", "y"]


def test_standard_settings_are_those_of_the_paper():
    seen, unseen, both = standard_settings(SEEN, UNSEEN)
    assert [s.name for s in (seen, unseen, both)] == ["seen", "unseen", "unseen+seen"]
    assert seen.label_ids == seen.candidate_ids == seen.valid_ids == SEEN
    assert unseen.label_ids == unseen.candidate_ids == both.label_ids == UNSEEN
    # Among equal scores the unseen label is the answer: it stands first.
    assert both.candidate_ids == [*UNSEEN, *SEEN]
    # Zero-shot settings count unseen and seen labels as correct answers.
    assert unseen.valid_ids == both.valid_ids == [*UNSEEN, *SEEN]
    assert [s.name for s in standard_settings(SEEN, [])] == ["seen"]


def test_labels_without_images_stay_candidates():
    settings = standard_settings(SEEN, UNSEEN, measured=["y", "c", "a", "elsewhere"])
    assert [s.label_ids for s in settings] == [["a", "c"], ["y"], ["y"]]
    assert [s.candidate_ids for s in settings] == [SEEN, UNSEEN, [*UNSEEN, *SEEN]]
    assert [s.name for s in standard_settings(SEEN, UNSEEN, measured=SEEN)] == ["seen"]
    assert [s.name for s in standard_settings(SEEN, UNSEEN, measured=UNSEEN)] == ["unseen", "unseen+seen"]
    assert standard_settings(SEEN, UNSEEN, measured=[]) == []


def random_measurement(seed, seen=70, unseen=31):
    """Each image's margin is its place among all, so that rows can be followed."""
    rng = np.random.default_rng(seed)
    labels = {"seen": rng.integers(0, 3, seen), "unseen": rng.integers(0, 2, unseen)}
    labels["unseen+seen"] = labels["unseen"]
    answered = {name: {"devise": [outcomes(rng.integers(1, 9, len(r))) for _ in "ab"]} for name, r in labels.items()}
    generalized = {
        "seen": {"devise": [(np.arange(seen), rng.random(seen) < 0.5)]},
        "unseen": {"devise": [(seen + np.arange(unseen), rng.random(unseen) < 0.5)]},
    }
    return measurement(labels, {name: 5 for name in labels}, answered, generalized=generalized)


@pytest.mark.parametrize("seed", range(30))
def test_split_shares_the_images_out_with_all_their_rows(seed):
    """Two parts without a common image, of the exact size, with every row of every array where its image is."""
    whole = random_measurement(seed)
    share = [0.2, 0.25, 0.5, 0.75][seed % 4]
    parts = split(whole, share, seed)
    drawn = np.concatenate([parts[0].images["seen"], parts[0].images["unseen"]])
    assert len(drawn) == round(share * 101)
    for name, images in whole.images.items():
        first, second = (part.images[name].tolist() for part in parts)
        assert not set(first) & set(second) and sorted(first + second) == images.tolist()
        for part in parts:
            rows = [images.tolist().index(image) for image in part.images[name]]
            assert part.labels[name].tolist() == whole.labels[name][rows].tolist()
            for result, expected in zip(part.outcomes[name]["devise"], whole.outcomes[name]["devise"], strict=True):
                for field in dataclasses.fields(result):
                    expected_rows = getattr(expected, field.name)[rows]
                    np.testing.assert_array_equal(getattr(result, field.name), expected_rows)
            if name in part.generalized:
                (result,), (expected,) = part.generalized[name]["devise"], whole.generalized[name]["devise"]
                assert result.seen_lead.tolist() == part.images[name].tolist()
                assert result.right.tolist() == expected.right[rows].tolist()
    # The zero-shot settings are about the same images.
    assert parts[0].images["unseen"].tolist() == parts[0].images["unseen+seen"].tolist()
    again, other = split(whole, share, seed)[0], split(whole, share, seed + 1)[0]
    assert again.images["seen"].tolist() == parts[0].images["seen"].tolist()
    assert other.images["seen"].tolist() != parts[0].images["seen"].tolist()


def test_split_leaves_no_part_without_images():
    with pytest.raises(ValueError, match="leaves a part without images. Received: validation_share=0.01"):
        split(random_measurement(0), 0.01, 0)
