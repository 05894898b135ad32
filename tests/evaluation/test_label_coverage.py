from devise_tf.data import LabelSet
from devise_tf.evaluation.label_coverage import label_coverage


def test_coverage_by_hand():
    labels = LabelSet(
        ["a", "b", "c", "d", "e"],
        [["Snow leopard", "ounce"], ["panthera", "cat"], ["red fox", "vulpes"], ["okapi"], ["wild okapi", "wild cat"]],
    )
    found = label_coverage(labels, ["snow_leopard", "cat", "red", "fox", "wild"])
    assert found.first_whole == ["a"] and found.other_whole == ["b"]
    assert found.composed == ["c", "e"] and found.missing == ["d"]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found.table().splitlines()[2:]]
    assert cells == [
        ["first term whole", "1", "20.0 %"],
        ["any term whole", "2", "40.0 %"],
        ["composed from words", "2", "40.0 %"],
        ["missing", "1", "20.0 %"],
        ["all labels", "5", "100.0 %"],
    ]
    assert label_coverage(labels, []).missing == labels.ids
