import pytest

from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from tests.helpers.report_example import KS, cells, cells_of, make_report, parse


def test_setting_tables_hold_figures_intervals_and_the_best_in_bold():
    report = make_report()
    document = parse(html_report(report, ReportDetails()))
    table = document.one("section", id="seen").one("table")
    assert table.one("caption").text() == "7,600 images, 152 candidates"
    heads = [node.text() for node in table.all("th", scope="col")]
    assert heads == ["model", *(f"hit@{k}" for k in KS), *(f"hp@{k}" for k in KS[1:])]
    rows = cells(table)
    assert list(rows)[:4] == ["softmax", "DeViSE", "my <model>", "chance"]
    assert [figure for figure, _, _ in rows["my <model>"]] == [
        "10.0", "20.0", "30.0", "40.0", "50.0", "0.100", "0.100", "0.100", "0.100",
    ]  # fmt: skip
    assert rows["softmax"][0] == ("55.6", "54.6–56.6", True)
    assert rows["softmax"][5] == ("0.452", "0.442–0.462", False)  # DeViSE's goes up to 0.457
    assert rows["chance"][0] == ("0.5", None, False)
    # Intervals are 0.01 to either side: bold needs the second best to be more than 0.02 below.
    names = {"softmax": "softmax", "devise": "DeViSE", "my <model>": "my <model>"}
    for position, metric in enumerate(heads[1:]):
        ordered = sorted(names, key=lambda model: -report["seen"][model][metric])
        apart = report["seen"][ordered[0]][metric] - report["seen"][ordered[1]][metric] > 0.02
        bold = [model for model in names if cells_of(table, names[model])[position][2]]
        assert bold == ([ordered[0]] if apart else []), metric
    hints = " ".join(node.text() for node in document.one("section", id="seen").all("p", class_="hint"))
    assert "DeViSE: mean of 2 seeds; hit@1 from 52.0 to 54.4 %." in hints and "Bold:" in hints
    other = document.one("section", id="unseen")
    assert cells(other.one("table")) == {
        "DeViSE": [("6.0", None, False), ("18.1", None, False)],
        "chance": [("2.0", None, False), ("10.0", None, False)],
    }
    assert not other.all("p", class_="hint")


def test_paper_figures_stand_below():
    table = parse(html_report(make_report(), ReportDetails())).one("section", id="seen").one("table")
    first, paper = table.all("tbody")
    assert paper.attributes == {"class": "paper"} and "Frome et al., 2013" in paper.one("th", scope="rowgroup").text()
    assert list(cells(paper)) == ["random embedding (500-D)", "DeViSE (1000-D)"]
    assert [figure for figure, _, _ in cells(paper)["DeViSE (1000-D)"]] == ["54.9", *["–"] * 7, "0.331"]
    assert [figure for figure, _, _ in cells(first)["DeViSE"]][0] == "53.2"


def test_generalized_table_shows_penalties_and_areas_where_there_are_some():
    report = make_report()
    table = parse(html_report(report, ReportDetails())).one("section", id="generalized").one("table")
    rows = cells(table)
    assert [figure for figure, _, _ in rows["DeViSE"]] == ["30.0", "2.0", "3.8", "0.08", "20.0", "10.0", "13.3"]
    assert [figure for figure, _, _ in rows["softmax"]] == ["40.0", "0.0", "0.0", *["–"] * 4]
    assert rows["DeViSE"][2] == ("3.8", "3.0–4.5", True) and rows["DeViSE"][6][1:] == ("12.0–15.0", False)
    del report["generalized"]["devise"]["penalized"]
    table = parse(html_report(report, ReportDetails())).one("section", id="generalized").one("table")
    assert [node.text() for node in table.all("th", scope="col")] == ["model", "seen", "unseen", "harmonic"]
    report["generalized"]["softmax"]["area"] = 0.0456
    table = parse(html_report(report, ReportDetails())).one("section", id="generalized").one("table")
    assert [row[-1][0] for row in cells(table).values()] == ["0.046", "–"]


def test_differences_are_signed_and_drawn_to_one_scale():
    section = parse(html_report(make_report(), ReportDetails())).one("section", id="differences")
    parts = section.all("tbody")
    assert [part.one("th", scope="rowgroup").text() for part in parts] == ["Seen labels", "Generalized"]
    rows = [row for part in parts for row in part.all("tr")[1:]]
    assert [[cell.text() for cell in row.all("td")][:4] for row in rows] == [
        ["hit@1", "DeViSE − softmax", "−2.4", "−4.0 to −1.0"],
        ["hp@5", "DeViSE − softmax", "+0.010", "+0.002 to +0.018"],
        ["harmonic, with penalty", "DeViSE − softmax", "+0.2", "−0.1 to +0.5"],
    ]
    assert [bool(row.all("b")) for row in rows] == [True, True, False]
    # A setting's widest bound, 0.04 and 0.005, reaches 115 px to one side of the zero at 120.
    figures = ((-0.04, -0.0239, -0.01), (0.002, 0.01, 0.018), (-0.001, 0.002, 0.005))
    for row, values, reach in zip(rows, figures, (0.04, 0.04, 0.005), strict=True):
        bar, dot = row.one("line", class_="bar").attributes, row.one("circle").attributes
        result = [float(bar["x1"]), float(dot["cx"]), float(bar["x2"])]
        assert result == pytest.approx([120 + 115 * value / reach for value in values], abs=0.051)
