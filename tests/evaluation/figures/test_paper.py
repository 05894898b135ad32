"""The paper's figures, written out a second time as its tables have them."""

import pytest

from devise_tf.evaluation.figures.paper import paper_figures

ILSVRC = [f"n{i}" for i in range(1000)]
VALIDATION = dict.fromkeys(ILSVRC, 50)  # the published set: 50,000 images
TABLE_1 = """
softmax        | 55.6 67.4 78.5 85.0 | .452 .342 .313 .319
devise (500-D) | 53.2 65.2 76.7 83.3 | .447 .352 .331 .341
devise (1000-D)| 54.9 66.9 78.4 85.0 | .454 .351 .325 .331
random (500-D) | 52.4 63.9 74.8 80.6 | .428 .315 .271 .248
random (1000-D)| 50.5 62.2 74.2 81.5 | .418 .318 .290 .292
chance         | 0.1 0.2 0.5 1.0     | .007 .013 .022 .042
"""
ZERO_SHOT = {
    "2-hop": """
devise  unseen      | 6.0 10.0 18.1 26.4 36.4 | .060 .152 .192 .217 .233
devise  unseen+seen | 0.8 2.7 7.9 14.2 22.7   | .008 .204 .196 .201 .214
softmax unseen+seen | 0 0 0 0 0               | 0 .236 .181 .174 .179
""",
    "3-hop": """
devise  unseen      | 1.7 2.9 5.3 8.2 12.5 | .017 .037 .191 .214 .236
devise  unseen+seen | 0.5 1.4 3.4 5.9 9.7  | .005 .053 .192 .201 .214
softmax unseen+seen | 0 0 0 0 0            | 0 .053 .157 .143 .130
""",
    "21K": """
devise  unseen      | 0.8 1.4 2.5 3.9 6.0 | .008 .017 .072 .085 .096
devise  unseen+seen | 0.3 0.8 1.9 3.2 5.3 | .003 .025 .083 .092 .101
softmax unseen+seen | 0 0 0 0 0           | 0 .023 .071 .069 .065
""",
}


def row(hits, precisions, hit_ks, precision_ks):
    values = {f"hit@{k}": float(value) / 100 for k, value in zip(hit_ks, hits.split(), strict=True)}
    return values | {f"hp@{k}": float(value) for k, value in zip(precision_ks, precisions.split(), strict=True)}


def expected_seen():
    cells = [line.split("|") for line in TABLE_1.strip().splitlines()]
    return {name.strip(): row(hits, hp, (1, 2, 5, 10), (2, 5, 10, 20)) for name, hits, hp in cells}


def test_the_validation_set_of_ilsvrc_gets_table_1():
    result = paper_figures(ILSVRC[::-1], [], ILSVRC, VALIDATION)
    assert list(result) == ["seen"] and list(result["seen"]) == list(expected_seen())
    for model, values in expected_seen().items():
        assert result["seen"][model] == pytest.approx(values)


@pytest.mark.parametrize(
    ("table", "unseen"), [("2-hop", 1589), ("2-hop", 1549), ("3-hop", 7860), ("21K", 20841), ("21K", 20842)]
)
def test_sizes_of_the_papers_and_public_lists_get_the_zero_shot_tables(table, unseen):
    """Of the paper's own sizes, and of those of the lists that are public."""
    ids = [f"u{i}" for i in range(unseen)]
    result = paper_figures(ILSVRC, ids, ILSVRC, {**VALIDATION, **dict.fromkeys(ids, 1)})
    assert list(result) == ["seen", "unseen", "unseen+seen"]
    for line in ZERO_SHOT[table].strip().splitlines():
        names, hits, precisions = line.split("|")
        model, setting = names.split()
        ks = (1, 2, 5, 10, 20)
        assert result[setting].pop(model) == pytest.approx(row(hits, precisions, ks, ks))
        # At k = 1 the correct set is the label alone.
        assert float(hits.split()[0]) / 100 == pytest.approx(float(precisions.split()[0]))
    assert not result["unseen"] and not result["unseen+seen"]


def test_other_label_sets_get_no_figures():
    images = {**VALIDATION, "other": 50, "u": 1}
    assert paper_figures(ILSVRC[:999], [], ILSVRC, images) == {}
    assert paper_figures([*ILSVRC[:999], "other"], [], ILSVRC, images) == {}
    assert list(paper_figures(ILSVRC, ["u"] * 1550, ILSVRC, images)) == ["seen"]


@pytest.mark.parametrize(
    "images",
    [
        dict.fromkeys(ILSVRC[:202], 50),  # Tiny ImageNet's folders
        {**VALIDATION, "n7": 49},
        {**VALIDATION, "n7": 0},
        dict.fromkeys(ILSVRC, 51),
        dict.fromkeys(ILSVRC[:500], 1),
        {},
    ],
)
def test_other_images_of_ilsvrcs_labels_do_not_get_table_1(images):
    assert paper_figures(ILSVRC, [], ILSVRC, images) == {}


def test_zero_shot_tables_need_images_of_all_unseen_labels_and_of_no_others():
    unseen = [f"u{i}" for i in range(1549)]
    shown = dict.fromkeys(unseen, 3)
    assert list(paper_figures(ILSVRC, unseen, ILSVRC, shown)) == ["unseen", "unseen+seen"]
    assert paper_figures(ILSVRC, unseen, ILSVRC, {**shown, "u5": 0}) == {}
    del shown["u5"]
    assert list(paper_figures(ILSVRC, unseen, ILSVRC, {**VALIDATION, **shown})) == ["seen"]
