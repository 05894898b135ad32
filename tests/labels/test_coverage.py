import pytest

from devise_tf.labels import LabelSet
from devise_tf.labels.coverage import label_coverage
from devise_tf.text.term_index import TermIndex

LABELS = LabelSet(
    ["a", "b", "c", "d", "e"],
    [["Snow leopard", "ounce"], ["panthera", "cat"], ["red fox", "vulpes"], ["okapi"], ["wild okapi", "wild cat"]],
)
TERMS = ["snow_leopard", "cat", "red", "fox", "wild"]


def index(*terms):
    return TermIndex({term: row for row, term in enumerate(terms)})


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


@pytest.fixture
def coverage():
    return label_coverage(LABELS, index(*TERMS))


def test_cases_by_hand(coverage):
    assert coverage.first_whole == ["a"] and coverage.other_whole == ["b"]
    assert coverage.composed == ["c", "e"] and coverage.missing == ["d"]
    assert coverage.folded == ["a"]  # "Snow leopard"
    assert coverage.cases() == {"a": "whole", "b": "other term", "c": "composed", "d": "missing", "e": "composed"}
    assert label_coverage(LABELS, index()).missing == LABELS.ids


def test_table(coverage):
    expected = [
        ["first term whole", "1", "20.0 %"],
        ["any term whole", "2", "40.0 %"],
        ["- as it is spelled", "1", "20.0 %"],
        ["- folded", "1", "20.0 %"],
        ["composed from parts", "2", "40.0 %"],
        ["missing", "1", "20.0 %"],
        ["all labels", "5", "100.0 %"],
    ]
    assert cells(coverage.table())[2:] == expected
    with_images = coverage.table({"a": 1000, "b": 20, "c": 3, "e": 4, "elsewhere": 9})  # none of d
    header, _, *rows = cells(with_images)
    assert header == ["labels", "number", "share", "images"]
    counts = ["1,000", "1,020", "20", "1,000", "7", "0", "1,027"]
    assert rows == [[*row, count] for row, count in zip(expected, counts, strict=True)]
    for table in (coverage.table(), with_images):
        assert len({len(line) for line in table.splitlines()}) == 1


def test_listing(coverage):
    assert coverage.listing(LABELS) == "Composed from parts: c (red fox), e (wild okapi)\nMissing: d (okapi)"
    assert coverage.listing(LABELS, most=1) == "Composed from parts: c (red fox), …\nMissing: d (okapi)"
    assert label_coverage(LABELS, index("ounce", "cat", "vulpes", "okapi", "wild_okapi")).listing(LABELS) == ""
