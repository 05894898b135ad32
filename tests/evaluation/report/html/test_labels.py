from devise_tf.evaluation.report.html.page import html_report
from tests.helpers.report_example import cells, make_details, make_report, parse


def test_confusions_are_listed_by_model():
    table = parse(html_report(make_report(), make_details())).one("section", id="confusions").one("table")
    assert table.one("caption").text() == "DeViSE"
    assert [[cell.text() for cell in row.all("td")] for row in table.one("tbody").all("tr")] == [
        ["Siamese cat", "dog", "1,200", "0.76"],
        ["dog", "snow leopard", "3", "−0.50"],
    ]


def test_labels_are_listed_with_their_figures():
    table = parse(html_report(make_report(), make_details())).one("table", id="label-rows")
    assert [node.text() for node in table.all("th", scope="col")] == [
        "label", "id", "terms", "trained", "images", "vector", "hit@1", "hit@1", "hit@5",
    ]  # fmt: skip
    assert [(n.text(), n.attributes["colspan"]) for n in table.all("th", scope="colgroup")] == [
        ("softmax", "1"),
        ("DeViSE", "2"),
    ]
    assert [[cell.text() for cell in row.children] for row in table.one("tbody").all("tr")] == [
        ["dog", "n2", "dog", "seen", "1,300", "composed", "75.0", "25.0", "–"],
        ["Siamese cat", "n1", "Siamese cat; Siamese", "unseen", "50", "whole", "–", "50.0", "62.5"],
        ["snow leopard", "n3", "snow leopard; ounce", "seen", "7", "missing", "–", "–", "–"],
    ]


def test_coverage_is_counted_and_listed():
    section = parse(html_report(make_report(), make_details())).one("section", id="coverage")
    assert section.one("table").one("thead").text() == "vector of the labellabels%images%"
    rows = {head: [figure for figure, _, _ in row][:4] for head, row in cells(section.one("table")).items()}
    assert rows == {
        "first term whole": ["150", "75.0", "1,500", "75.0"],
        "another term whole": ["30", "15.0", "300", "15.0"],
        "composed from words": ["15", "7.5", "150", "7.5"],
        "missing": ["5", "2.5", "50", "2.5"],
    }
    assert [node.text() for node in section.all("details")] == [
        "Composed from words: 15 labelssnow leopard n3 and 14 more",
        "Missing: 5 labelsSiamese cat n1, dog n2 and 3 more",
    ]
