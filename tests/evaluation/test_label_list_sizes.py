"""Sizes of well-known label lists."""

import pytest

from devise_tf.evaluation.label_list_sizes import about_label_list


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (1000, ["1,000 labels: ", "ILSVRC-2012", "Table 1", "Sizes match"]),
        (1549, ["1,549 labels: ", "public 2-hop list", "paper's 1,589"]),
        (1589, ["paper's 2-hop", "Sizes match"]),
        (2549, ["public 2-hop list with", "DeViSE+1K"]),
        (7860, ["3-hop", "Sizes match"]),
        (8860, ["3-hop", "DeViSE+1K", "Sizes match"]),
        (20841, ["20,841 labels: ", "Sizes match", "20,842"]),
        (20842, ["public list of the rest", "20,841"]),
        (21841, ["autumn 2011", "Sizes match"]),
        (21842, ["DeViSE+1K", "20,842"]),
        (19167, ["winter 2021", "21,841"]),
    ],
)
def test_known_sizes_are_explained(number, says):
    for ids in ((), ["n02084071", "n02121808"]):
        sentence = about_label_list(number, ids)
        assert all(part in sentence for part in says), sentence
        assert sentence.endswith(".")


def test_sizes_with_training_labels_are_sums():
    """A set with the 1,000 training labels is known wherever the set is; the releases differ by 2,674 labels."""
    for number in (1548, 1549, 1589, 5989, 7860, 20841, 20842):
        assert about_label_list(number) and "1,000 training labels" in about_label_list(number + 1000)
    assert 21841 - 2674 == 19167 and "2,674" in about_label_list(19167)


def test_other_sizes_and_ids_give_no_text():
    assert about_label_list(1234) == ""
    assert about_label_list(1000, ["n02084071", "dog"]) == ""


def test_two_hundred_labels_are_told_by_their_ids():
    assert about_label_list(200) == ""
    assert about_label_list(200, ["001.Black_footed_Albatross"]) == ""
    assert "Tiny ImageNet" in about_label_list(200, ["n01443537"])
