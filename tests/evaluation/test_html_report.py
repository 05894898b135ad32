"""The HTML report: as text, parsed strictly, and in a browser. Chromium is looked for on the path."""

import base64
import importlib.util
import io
import json
import math
import re
import shutil
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from devise_tf.evaluation import html_report as module
from devise_tf.evaluation import report_details
from devise_tf.evaluation.html_report import html_report, write_html_report
from devise_tf.evaluation.report_details import LabelMap, LabelRow, ReportDetails, Sample, label_map

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
VOID = {"meta", "link", "img", "input", "br"}
HOSTILE = (
    "</script><script>document.title='taken'</script>", '"><img src=x onerror="document.title=1">', "{{data}}",
    "' onmouseover='document.title=2", "<!--", "&lt;b&gt;", "]]>", "a\u202eb\u0007", "\\u003c",
    "日本語の名前", "قط سيامي", "ਬਿੱਲੀ",
)  # fmt: skip
KS = (1, 2, 5, 10, 20)


class Node:
    def __init__(self, tag, attributes=()):
        self.tag, self.attributes, self.children = tag, dict(attributes), []

    def text(self):
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def all(self, tag=None, **attributes):
        found = []
        for child in self.children:
            if isinstance(child, Node):
                wanted = {name.rstrip("_"): value for name, value in attributes.items()}
                if tag in (None, child.tag) and all(child.attributes.get(n) == v for n, v in wanted.items()):
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def one(self, tag=None, **attributes):
        (found,) = self.all(tag, **attributes)
        return found


class Parser(HTMLParser):
    """Takes only what is well nested, every element closed."""

    def __init__(self):
        super().__init__()
        self.stack = [Node("document")]

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        node = Node(tag, attrs)
        self.stack[-1].children.append(node)
        if tag not in VOID:
            self.stack.append(node)

    def handle_startendtag(self, tag, attrs):
        self.stack[-1].children.append(Node(tag, attrs))

    def handle_endtag(self, tag):
        assert self.stack[-1].tag == tag, (tag, [node.tag for node in self.stack])
        self.stack.pop()

    def handle_data(self, data):
        self.stack[-1].children.append(data)


def parse(page):
    parser = Parser()
    parser.feed(page)
    parser.close()
    assert len(parser.stack) == 1
    document = parser.stack[0]
    ids = [node.attributes["id"] for node in document.all() if "id" in node.attributes]
    assert len(set(ids)) == len(ids)
    for link in document.all("a"):
        assert link.attributes["href"].removeprefix("#") in ids
    for node in document.all():
        assert not any(name.startswith("on") for name in node.attributes), node.attributes
    return document


def cells(table):
    """Rows of a table's body: [[(figure, interval or None, bold)]] with the head as text."""
    rows = {}
    for row in table.all("tr"):
        heads = row.all("th", scope="row")
        if heads:
            found = []
            for cell in row.all("td"):
                small = [node.text() for node in cell.all("small")]
                figure = cell.text().removesuffix(small[0] if small else "")
                found.append((figure, small[0] if small else None, bool(cell.all("b"))))
            rows[heads[0].text()] = found
    return rows


def jpeg(color="red", size=64):
    file = io.BytesIO()
    Image.new("RGB", (size, size), color).save(file, "JPEG")
    return file.getvalue()


def make_report():
    def row(*values):
        hits, precisions = values[:5], values[5:]
        row = {f"hit@{k}": v for k, v in zip(KS, hits, strict=True)} | {"hp@1": hits[0]}
        return row | {f"hp@{k}": v for k, v in zip(KS[1:], precisions, strict=True)}

    seen = {
        "chance": row(0.005, 0.01, 0.025, 0.05, 0.1, 0.01, 0.02, 0.04, 0.08),
        "devise": row(0.5321, 0.65, 0.767, 0.833, 0.9, 0.447, 0.352, 0.331, 0.341),
        "softmax": row(0.556, 0.674, 0.785, 0.85, 0.89, 0.452, 0.342, 0.313, 0.319),
        "my <model>": row(0.1, 0.2, 0.3, 0.4, 0.5, 0.1, 0.1, 0.1, 0.1),
    }
    intervals = {
        model: {metric: [value - 0.01, value + 0.01] for metric, value in values.items()}
        for model, values in seen.items()
        if model != "chance"
    }
    return {
        "seen": seen,
        "unseen": {"devise": {"hit@1": 0.06, "hit@5": 0.181}, "chance": {"hit@1": 0.02, "hit@5": 0.1}},
        "generalized": {
            "devise": {
                "seen": 0.3,
                "unseen": 0.02,
                "harmonic": 0.0375,
                "penalized": {"penalty": 0.08, "seen": 0.2, "unseen": 0.1, "harmonic": 0.1333},
            },
            "softmax": {"seen": 0.4, "unseen": 0.0, "harmonic": 0.0},
        },
        "intervals": {
            "seen": intervals,
            "generalized": {
                "devise": {"harmonic": [0.03, 0.045], "penalized.harmonic": [0.12, 0.15]},
                "softmax": {"harmonic": [0.0, 0.001]},
            },
        },
        "differences": [
            {"setting": "seen", "metric": "hit@1", "model": "devise", "minus": "softmax",
             "difference": -0.0239, "low": -0.04, "high": -0.01},
            {"setting": "generalized", "metric": "penalized.harmonic", "model": "devise", "minus": "softmax",
             "difference": 0.002, "low": -0.001, "high": 0.005},
            {"setting": "seen", "metric": "hp@5", "model": "devise", "minus": "softmax",
             "difference": 0.01, "low": 0.002, "high": 0.018},
        ],
        "paper": {"seen": {"random (500-D)": {}, "devise (1000-D)": {"hit@1": 0.549, "hp@20": 0.331}}},
        "claims": [
            {"claim": "Softmax leads.", "verdict": "holds", "figures": "55.6 against 53.2"},
            {"claim": "DeViSE closes the gap.", "verdict": "does not hold", "figures": "x"},
            {"claim": "More.", "verdict": "cannot tell", "figures": "y"},
        ],
        "coverage": {
            "first_whole": 150, "other_whole": 30, "composed": 15, "missing": 5,
            "images": {"first_whole": 1500, "other_whole": 300, "composed": 150, "missing": 50},
            "listed": {"composed": ["n3"], "missing": ["n1", "n2"]},
        },
        "images": {"seen": 7600, "unseen": 2500},
        "labels": {"seen": {"labels": 152, "candidates": 152}, "unseen": {"labels": 50, "candidates": 50}},
        "seeds": {"run": 0, "seen": {"devise": {"hit@1": [0.52, 0.5442]}}},
        "notes": ["The hierarchy is plain WordNet."],
        "bad_images": 1,
        "command": "python -m devise_tf.evaluate --model_dir='my runs' --x=1",
    }  # fmt: skip


def make_details():
    curve = np.linspace(0.5, 0.9, 20).tolist()
    names = {"n1": "Siamese cat", "n2": "dog", "n3": "snow leopard"}
    points = np.random.default_rng(0).normal(size=(3, 2))
    return ReportDetails(
        names=names,
        curves={"seen": {"devise": curve, "softmax": [0.4] * 20}, "unseen": {"devise": [0.06]}},
        generalized_curve={"devise": (np.array([0.3, 0.2, 0.0]), np.array([0.0, 0.1, 0.12]))},
        samples=[
            Sample(
                jpeg(),
                "n1",
                False,
                {"softmax": [("n2", 0.5)], "devise": [("n1", 0.9), ("n3", 0.25), ("n2", -0.1)]},
                {"n3"},
            )
        ],
        confusions={"devise": [("n1", "n2", 1200, 0.761), ("n2", "n3", 3, -0.5)]},
        label_rows=[
            LabelRow("n1", ["Siamese_cat", "Siamese"], False, 50, "whole", {"devise": {"hit@1": 0.5, "hit@5": 0.625}}),
            LabelRow("n2", ["dog"], True, 1300, "composed", {"softmax": {"hit@1": 0.75}, "devise": {"hit@1": 0.25}}),
            LabelRow("n3", ["snow_leopard", "ounce"], True, 7, "missing", {}),
        ],
        map=LabelMap(points, list(names), [False, True, True], ["cat", "other", "cat"]),
    )


def test_the_page_needs_nothing_else():
    page = html_report(make_report(), make_details())
    assert page == html_report(make_report(), make_details())
    document = parse(page)
    assert document.one("meta", charset="utf-8")
    (policy,) = [node for node in document.all("meta") if "http-equiv" in node.attributes]
    assert policy.attributes == {"http-equiv": "Content-Security-Policy", "content": POLICY}
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[^\"]*", "", page))
    for node in document.all():
        for name in ("src", "href"):
            if name in node.attributes:
                assert node.attributes[name].startswith(("data:", "#"))
    assert [node.attributes.get("type") for node in document.all("script")] == ["application/json", None]
    titles = [node.text() for node in document.all("h2")]
    assert titles == [
        "Claims", "Seen labels", "Unseen labels among unseen candidates", "Generalized zero-shot",
        "Differences between models", "Curves", "Samples", "Map of the label vectors", "Confusions", "Labels",
        "Coverage of the labels", "Notes",
    ]  # fmt: skip
    assert [node.text() for node in document.one("nav").all("a")] == titles
    assert document.one("pre").text() == make_report()["command"]
    measured = document.one("p", class_="measured").text()
    assert "7,600 images of 152 seen labels against 152 candidates; 2,500 images of 50 unseen labels" in measured
    assert "1 image was left out" in measured


def test_settings():
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
    for place, metric in enumerate(heads[1:]):
        ordered = sorted(names, key=lambda model: -report["seen"][model][metric])
        apart = report["seen"][ordered[0]][metric] - report["seen"][ordered[1]][metric] > 0.02
        bold = [model for model in names if cells_of(table, names[model])[place][2]]
        assert bold == ([ordered[0]] if apart else []), metric
    hints = " ".join(node.text() for node in document.one("section", id="seen").all("p", class_="hint"))
    assert "DeViSE: mean of 2 seeds; hit@1 from 52.0 to 54.4 %." in hints and "Bold:" in hints
    other = document.one("section", id="unseen")
    assert cells(other.one("table")) == {
        "DeViSE": [("6.0", None, False), ("18.1", None, False)],
        "chance": [("2.0", None, False), ("10.0", None, False)],
    }
    assert not other.all("p", class_="hint")


def cells_of(table, title):
    """A measured model's cells; the paper's rows come in a second body."""
    return cells(table.all("tbody")[0])[title]


def test_the_papers_figures():
    table = parse(html_report(make_report(), ReportDetails())).one("section", id="seen").one("table")
    first, paper = table.all("tbody")
    assert paper.attributes == {"class": "paper"} and "Frome et al., 2013" in paper.one("th", scope="rowgroup").text()
    assert list(cells(paper)) == ["random embedding (500-D)", "DeViSE (1000-D)"]
    assert [figure for figure, _, _ in cells(paper)["DeViSE (1000-D)"]] == ["54.9", *["–"] * 7, "0.331"]
    assert [figure for figure, _, _ in cells(first)["DeViSE"]][0] == "53.2"


def test_claims():
    section = parse(html_report(make_report(), ReportDetails())).one("section", id="claims")
    items = section.all("li")
    assert [item.one("span", class_="verdict").text() for item in items] == [
        "✓ holds",
        "✗ does not hold",
        "? cannot tell",
    ]
    assert [item.all("p")[0].text() for item in items] == ["Softmax leads.", "DeViSE closes the gap.", "More."]
    assert items[0].all("p")[1].text() == "55.6 against 53.2"


def test_generalized():
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


def test_differences():
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
        found = [float(bar["x1"]), float(dot["cx"]), float(bar["x2"])]
        assert found == pytest.approx([120 + 115 * value / reach for value in values], abs=0.051)


@pytest.mark.parametrize("kept", [None, *make_report()])
def test_any_part_may_be_absent(kept):
    whole = make_report()
    report = {key: whole[key] for key in ("command", kept) if key}
    page = html_report(report, ReportDetails())
    document = parse(page)
    sections = [node.attributes["id"] for node in document.all("section")]
    shown = ("seen", "unseen", "generalized", "differences", "claims", "coverage", "notes")
    assert sections == ([kept] if kept in shown else [])
    if kept != "command":
        whole.pop(kept, None)
        sections = [node.attributes["id"] for node in parse(html_report(whole, make_details())).all("section")]
        assert sections.count(kept) == (kept == "labels") and "curves" in sections  # another part has that name


@pytest.mark.parametrize("field", [field.name for field in report_details.dataclasses.fields(ReportDetails)])
def test_any_detail_may_be_absent(field):
    details = make_details()
    setattr(details, field, getattr(ReportDetails(), field))
    sections = [node.attributes["id"] for node in parse(html_report(make_report(), details)).all("section")]
    section = {"samples": "samples", "confusions": "confusions", "label_rows": "labels", "map": "map"}.get(field)
    assert section not in sections and "curves" in sections


def test_figures_that_are_no_numbers():
    report, details = make_report(), make_details()
    report["seen"]["devise"]["hit@1"] = float("nan")
    report["seen"]["softmax"]["hit@5"] = None
    report["intervals"]["seen"]["softmax"]["hit@10"] = [float("nan")] * 2
    report["generalized"]["devise"]["penalized"] = {"penalty": None, "seen": None, "unseen": 0.1, "harmonic": None}
    report["differences"][0] |= {"low": None, "high": None}
    report["differences"][1]["difference"] = float("nan")
    details.curves["seen"]["devise"][3] = float("nan")
    details.curves["unseen"] = {"devise": []}
    details.generalized_curve["devise"][0][1] = float("nan")
    page = html_report(report, details)
    document = parse(page)
    assert not re.search(r"\b(nan|None|inf)\b", page.split("<body>")[1].split("<script")[0], re.IGNORECASE)
    table = document.one("section", id="seen").one("table")
    assert cells_of(table, "DeViSE")[0] == ("–", None, False) and cells_of(table, "softmax")[3][1] is None
    rows = document.one("section", id="differences").one("tbody").all("tr")[1:]
    assert [row.all("td")[3].text() for row in rows] == ["–", "+0.002 to +0.018"]


def test_curves():
    document = parse(html_report(make_report(), make_details()))
    figure = document.one("figure", id="curve-seen")
    # The scales, from the ticks alone.
    ticks = [node for node in figure.all("text", class_="tick") if "dy" in node.attributes]
    (y0, p0), *_, (y1, p1) = [(float(node.attributes["y"]), float(node.text())) for node in ticks]
    assert p0 == 0 and p1 == 100
    marks = {
        int(node.text()): float(node.attributes["x"])
        for node in figure.all("text", class_="tick")
        if "dy" not in node.attributes and node.text().isdigit()
    }
    assert list(marks) == [1, 2, 5, 10, 20]

    def y(share):
        return y0 + (y1 - y0) * share

    def x(k):
        return marks[1] + (marks[20] - marks[1]) * math.log(k) / math.log(20)

    for k in KS:
        assert marks[k] == pytest.approx(x(k), abs=0.1)
    values = np.linspace(0.5, 0.9, 20)
    layers = {node.one("title").text(): node for node in figure.all("g") if node.all("title")}
    assert set(layers) == {"softmax", "DeViSE"}
    path = layers["DeViSE"].one("path", class_="line").attributes["d"]
    points = [tuple(map(float, pair.split())) for pair in path.removeprefix("M").split("L")]
    assert points == pytest.approx(
        np.array([(x(k), y(v)) for k, v in zip(range(1, 21), values, strict=True)]), abs=0.11
    )
    # Bars of the intervals at 1, 5 and 20: 53.21, 76.7 and 90 per cent, 1 to either side.
    bars = [node.attributes["d"] for node in layers["DeViSE"].all("path", class_="interval")]
    assert len(bars) == 3
    for bar, k, middle in zip(bars, (1, 5, 20), (0.5321, 0.767, 0.9), strict=True):
        at, low, high = map(float, re.match(r"M(\S+) (\S+)V([\d.]+)", bar).groups())
        assert at == pytest.approx(x(k), abs=3) and (low, high) == pytest.approx(
            (y(middle - 0.01), y(middle + 0.01)), abs=0.11
        )
    # Names at the ends, apart, in the order of the figures: 90 above 40.
    labels = {node.text(): float(node.attributes["y"]) for node in figure.all("text", class_="direct")}
    assert labels["softmax"] - labels["DeViSE"] >= 13
    legend = document.one("section", id="curves").one("ul", class_="legend")
    assert [node.text() for node in legend.all("li")] == ["softmax", "DeViSE"]
    # One point is drawn too.
    single = document.one("figure", id="curve-unseen")
    assert single.one("path", class_="line").attributes["d"].count("L") == 1
    # One colour a model throughout.
    styles = {node.text(): node.attributes["class"] for node in legend.all("li")}
    dots = {
        node.text(): node.all("i")[0].attributes["class"]
        for node in document.all("th", scope="row")
        if node.all("i") and node.text() in styles
    }
    assert dots == {model: f"dot {style}" for model, style in styles.items()}


def test_long_curves_are_thinned():
    curve = np.linspace(0, 1, 21841)
    page = html_report(make_report(), ReportDetails(curves={"seen": {"devise": curve, "softmax": curve[:100]}}))
    figure = parse(page).one("figure", id="curve-seen")
    assert len(page) < 100_000
    for line in figure.all("path", class_="line"):
        assert 20 < len(line.attributes["d"].split("L")) < 100
    assert {node.text() for node in figure.all("text", class_="tick")} >= {"1", "10", "100", "1,000", "10,000"}


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0.9, ["0", "20", "40", "60", "80", "100"]),
        (0.28, ["0", "5", "10", "15", "20", "25", "30"]),
        (0.003, ["0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3"]),
        (0.0, ["0", "0.02", "0.04", "0.06", "0.08", "0.1"]),
    ],
)
def test_scales(most, ticks):
    page = html_report({"command": ""}, ReportDetails(curves={"seen": {"devise": [0.0, most]}}))
    found = parse(page).one("figure", id="curve-seen").all("text", class_="tick")
    assert [node.text() for node in found if "dy" in node.attributes] == ticks


def test_seen_against_unseen():
    document = parse(html_report(make_report(), make_details()))
    figure = document.one("figure", id="curve-generalized")
    grid = [node for node in figure.all("text", class_="tick") if node.text().replace(".", "").isdigit()]
    across = {float(n.text()): float(n.attributes["x"]) for n in grid if "dy" not in n.attributes}
    up = {float(n.text()): float(n.attributes["y"]) for n in grid if "dy" in n.attributes}

    def place(unseen, seen):
        (x0, x1), (y0, y1) = (0, max(across)), (0, max(up))
        return (
            across[x0] + (across[x1] - across[x0]) * unseen / x1,
            up[y0] + (up[y1] - up[y0]) * seen / y1,
        )

    assert max(across) >= 12 and max(up) >= 30
    (layer,) = [node for node in figure.all("g") if node.all("title")]
    path = layer.one("path", class_="line").attributes["d"]
    points = [tuple(map(float, pair.split())) for pair in path.removeprefix("M").split("L")]
    assert points == pytest.approx(np.array([place(0, 30), place(10, 20), place(12, 0)]), abs=0.11)
    circle = layer.one("circle").attributes
    assert (float(circle["cx"]), float(circle["cy"])) == pytest.approx(place(2, 30), abs=0.11)
    x, y = map(float, re.match(r"M(\S+) (\S+?)l", layer.one("path", class_="mark").attributes["d"]).groups())
    assert (x, y + 6.5) == pytest.approx(place(10, 20), abs=0.11)


def test_samples():
    document = parse(html_report(make_report(), make_details()))
    card = document.one("article")
    source = card.one("img").attributes["src"]
    assert base64.b64decode(source.removeprefix("data:image/jpeg;base64,")) == jpeg()
    assert card.one("img").attributes["alt"] == "An image of Siamese cat"
    assert card.one("h3").text() == "Siamese cat" and card.one("span", class_="kind unseen").text() == "unseen"
    assert [node.text() for node in card.all("h4")] == ["softmax", "DeViSE"]
    softmax, devise = card.all("ol")
    shown = [
        (item.attributes.get("class"), item.one("bdi").text(), item.one("span", class_="score").text())
        for item in devise.all("li")
    ]
    assert shown == [("right", "Siamese cat", "0.90"), ("near", "snow leopard", "0.25"), (None, "dog", "−0.10")]
    assert [node.one("span", class_="said").text() for node in devise.all("li")] == [
        "the true label: ", "near the true label: ", "",
    ]  # fmt: skip
    assert [node.one("bdi").text() for node in softmax.all("li")] == ["dog"]


def test_map():
    document = parse(html_report(make_report(), make_details()))
    drawing = document.one("svg", id="label-map")
    titles = {node.one("title").text(): node.tag for tag in ("circle", "path") for node in drawing.all(tag)}
    assert titles == {
        "Siamese cat (unseen; cat)": "path",
        "dog (seen; other)": "circle",
        "snow leopard (seen; cat)": "circle",
    }
    # "other" is grey, whatever its size, and lies below the rest.
    layers = [node for node in drawing.all("g") if re.fullmatch(r"g\d+", node.attributes["class"])]
    assert [len(layer.all("title")) for layer in layers] == [1, 2] and layers[0].attributes["class"] == "g12"
    assert [node.text() for node in document.one("ul", id="map-legend").all("li")] == ["cat 2", "other 1"]
    assert "3 labels by t-SNE" in document.one("section", id="map").text()
    printed = [node.text() for node in drawing.all("text")]
    assert set(printed) <= {"Siamese cat", "dog", "snow leopard"} and printed


def test_printed_names_do_not_overlap():
    rng = np.random.default_rng(3)
    ids = [f"label number {i}" if i % 3 else f"数{i}の名前" for i in range(800)]
    details = ReportDetails(map=LabelMap(rng.normal(size=(800, 2)), ids, [True] * 800, ["a"] * 800))
    drawing = parse(html_report({"command": ""}, details)).one("svg", id="label-map")
    boxes = []
    for node in drawing.one("g", class_="names").all("text"):
        x, y = float(node.attributes["x"]), float(node.attributes["y"])
        width = sum(11.5 if character > "\u2000" else 6 for character in node.text())
        x -= {"start": 0, "middle": width / 2, "end": width}[node.attributes["text-anchor"]]
        boxes.append((x, y - 9, x + width, y + 2))
    assert 20 < len(boxes) <= 60
    for i, a in enumerate(boxes):
        assert 0 <= a[0] and a[2] <= 960 and 0 <= a[1] and a[3] <= 640
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[:i])


def test_many_groups():
    groups = [f"group {i % 15:02}" for i in range(45)] + ["group 00"]
    points = np.random.default_rng(0).normal(size=(46, 2))
    details = ReportDetails(map=LabelMap(points, [f"n{i}" for i in range(46)], [True] * 46, groups))
    legend = parse(html_report({"command": ""}, details)).one("ul", id="map-legend")
    assert [node.text() for node in legend.all("li")] == [
        "group 00 4", *(f"group {i:02} 3" for i in range(1, 12)), "other 9",
    ]  # fmt: skip


def test_confusions():
    table = parse(html_report(make_report(), make_details())).one("section", id="confusions").one("table")
    assert table.one("caption").text() == "DeViSE"
    assert [[cell.text() for cell in row.all("td")] for row in table.one("tbody").all("tr")] == [
        ["Siamese cat", "dog", "1,200", "0.76"],
        ["dog", "snow leopard", "3", "−0.50"],
    ]


def test_labels():
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


def test_coverage():
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


def hostile_page():
    """Every text that comes from data is hostile."""
    text = " ".join(HOSTILE)
    ids = list(HOSTILE)
    rows = {f"{text[:30]}{i}": {"hit@1": 0.5, "hp@5": 0.1} for i in range(3)}
    report = {
        "seen": rows,
        "generalized": {ids[1]: {"seen": 0.1, "unseen": 0.1, "harmonic": 0.1}},
        "paper": {"seen": {ids[0]: {"hit@1": 0.5}}},
        "differences": [{"setting": ids[0], "metric": ids[1], "model": ids[2], "minus": ids[3], "difference": 0.1,
                         "low": 0.0, "high": 0.2}],
        "claims": [{"claim": text, "verdict": ids[0], "figures": text}],
        "coverage": {"first_whole": 1, "missing": len(ids), "listed": {"missing": ids, ids[1]: ids}},
        "images": {"seen": 1},
        "labels": {"seen": {"labels": 1, "candidates": 1}},
        "seeds": {"seen": {ids[0]: {"hit@1": [0.1, 0.2]}}},
        "notes": [text],
        "command": text,
    }  # fmt: skip
    answers = {model: [(label, 0.5) for label in ids[:5]] for model in ids[:3]}
    details = ReportDetails(
        names={label: label for label in ids},
        curves={"seen": {model: [0.1, 0.2] for model in ids}},
        generalized_curve={model: ([0.1], [0.1]) for model in ids},
        samples=[Sample(jpeg(), label, True, answers) for label in ids],
        confusions={model: [(ids[0], label, 1, 0.5) for label in ids] for model in ids},
        label_rows=[LabelRow(label, list(ids), True, 1, label, {label: {"hit@1": 0.1}}) for label in ids],
        map=LabelMap(np.random.default_rng(0).normal(size=(len(ids), 2)), ids, [True] * len(ids), ids),
    )
    return html_report(report, details)


def test_text_from_data_is_text():
    document = parse(hostile_page())
    assert len(document.all("script")) == 2 and len(document.all("img")) == len(HOSTILE)
    for image in document.all("img"):
        assert set(image.attributes) == {"src", "alt"} and image.attributes["src"].startswith("data:image/jpeg;base64,")
    assert document.one("pre").text() == document.one("section", id="notes").one("li").text() == " ".join(HOSTILE)
    table = document.one("table", id="label-rows")
    assert [row.children[1].text() for row in table.one("tbody").all("tr")] == list(HOSTILE)
    assert {node.one("h3").text() for node in document.all("article")} == set(HOSTILE)
    (panel,) = json.loads(document.one("script", id="data").text())["panels"]
    assert {model["name"] for model in panel["models"]} == {
        text if len(text) <= 40 else text[:39].rstrip() + "…" for text in HOSTILE
    }


def test_text_that_utf8_does_not_have():
    page = html_report({"command": "x", "notes": ["half \ud83d of a pair"]}, ReportDetails(names={"a": "\udcff"}))
    assert "half ? of a pair" in page and page.encode()


@pytest.mark.slow
def test_it_stays_small_with_all_of_imagenet():
    count = 21841
    rng = np.random.default_rng(0)
    ids = [f"n{i:08}" for i in range(count)]
    images = rng.permutation(count) + 1
    models = ["softmax", "devise", "devise_projection", "random", "conse", "conse_1", "conse_all"]
    hits = [{model: {"hit@1": 0.1234, "hit@5": 0.5} for model in models}] * count
    noise = rng.integers(0, 256, (192, 192, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=85)  # some 28 KB, more than any photo of its size
    points = rng.normal(size=(count, 2))
    report = make_report() | {
        "coverage": {"first_whole": 0, "missing": count, "listed": {"missing": ids, "composed": ids}},
    }
    details = ReportDetails(
        names={label: f"name of the label {label}" for label in ids},
        curves={"seen": {model: np.linspace(0, 1, count) for model in models}},
        generalized_curve={model: (np.linspace(1, 0, 5000), np.linspace(0, 1, 5000)) for model in models},
        samples=[Sample(file.getvalue(), ids[0], True, {"devise": [(label, 0.5) for label in ids[:5]]})] * 60,
        confusions={model: [(a, b, 2, 0.5) for a, b in zip(ids, ids[1:], strict=False)] for model in models},
        label_rows=[
            LabelRow(ids[i], [f"term_{i}", f"another_term_{i}"], True, int(images[i]), "whole", hits[i])
            for i in range(count)
        ],
        map=LabelMap(points, ids, rng.random(count) < 0.5, [f"group {i % 12}" for i in range(count)]),
    )
    begin = time.process_time()
    page = html_report(report, details)
    assert time.process_time() - begin < 20
    assert len(page.encode()) < 5_000_000
    document = parse(page)
    rows = document.one("table", id="label-rows").one("tbody").all("tr")
    shown = [int(row.children[4].text().replace(",", "")) for row in rows]
    assert shown == list(range(count, count - 2000, -1))
    assert "The 2,000 labels with the most images, of 21,841" in document.one("section", id="labels").text()
    assert len(document.one("svg", id="label-map").all("title")) == 2000
    assert "2,000 of 21,841 labels" in document.one("section", id="map").text()
    assert "and 21,541 more" in document.one("section", id="coverage").text()
    assert len(document.all("article")) == 48
    assert "12 more samples would not fit" in document.one("section", id="samples").text()


def test_what_is_too_large_is_cut(monkeypatch):
    details = make_details()
    details.samples = details.samples * 40
    details.label_rows = details.label_rows * 500
    monkeypatch.setattr(module, "MAX_BYTES", 150_000)
    page = html_report(make_report(), details)
    document = parse(page)
    assert 75_000 < len(page.encode()) < 150_000
    text = document.one("section", id="labels").text()
    assert "labels with the most images, of 1,500" in text
    monkeypatch.setattr(module, "MAX_BYTES", 1)
    document = parse(html_report(make_report(), details))
    assert "would not fit" in document.one("section", id="labels").text()
    assert "would not fit" in document.one("section", id="map").text()
    assert "40 more samples would not fit" in document.one("section", id="samples").text()


def test_long_names_are_cut():
    details = make_details()
    details.names = dict.fromkeys(details.names, "long " * 100_000)
    page = html_report(make_report(), details)
    assert len(page) < 120_000 and "…" in page


def test_write(tmp_path, monkeypatch):
    path = tmp_path / "index.html"
    write_html_report(path, make_report(), make_details())
    assert path.read_text(encoding="utf-8") == html_report(make_report(), make_details())
    # An error leaves what was there.
    with pytest.raises(KeyError):
        write_html_report(path, {}, ReportDetails())
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.html"]


def test_label_map():
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3, 8), 12, axis=0) + 0.05 * rng.normal(size=(36, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids, seen, groups = list(map(str, range(36))), [i % 2 == 0 for i in range(36)], list("abc" * 12)
    found = label_map(vectors, ids, seen, groups, seed=1)
    assert found.points.shape == (36, 2) and found.ids == ids and found.seen == seen and found.groups == groups
    # Every point's nearest one is of its own cluster.
    distances = np.linalg.norm(found.points[:, None] - found.points[None], axis=-1) + 1e9 * np.eye(36)
    assert (distances.argmin(axis=1) // 12 == np.arange(36) // 12).all()
    np.testing.assert_array_equal(found.points, label_map(vectors, ids, seen, groups, seed=1).points)


def test_label_map_takes_some_of_many(monkeypatch):
    monkeypatch.setattr(report_details, "MAX_POINTS", 20)
    vectors = np.random.default_rng(0).normal(size=(50, 4))
    ids = [f"n{i}" for i in range(50)]
    found = label_map(vectors, ids, [i < 25 for i in range(50)], [f"g{i}" for i in range(50)])
    assert len(found.ids) == len(set(found.ids)) == len(found.points) == 20
    rows = [ids.index(label) for label in found.ids]
    assert rows == sorted(rows) and found.groups == [f"g{i}" for i in rows] and found.seen == [i < 25 for i in rows]


def test_no_label_map(monkeypatch):
    said = []
    monkeypatch.setattr(report_details.logging, "warning", lambda message, *values: said.append(message % values))
    assert label_map(np.eye(3), list("abc"), [True] * 3, list("abc")) is None
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name))
    assert label_map(np.eye(4), list("abcd"), [True] * 4, list("abcd")) is None
    assert len(said) == 2 and "there are 3" in said[0] and "pip install 'devise_tf[plots]'" in said[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sample(b"GIF89a", "n1", True, {}), r"JPEG file's bytes. Received: image_jpeg=b'GIF89a'"),
        (lambda: LabelMap(np.zeros((2, 3)), ["a", "b"], [True] * 2, ["x"] * 2), r"points of shape \(2, 3\), 2 ids"),
        (lambda: LabelMap(np.zeros((2, 2)), ["a", "b"], [True], ["x"] * 2), "1 flags, 2 groups"),
        (lambda: LabelMap(np.array([[0, 1], [0, np.nan]]), ["a", "b"], [True] * 2, ["x"] * 2), r"points\[1\].*'b'"),
        (lambda: label_map(np.zeros((5, 2)), list("abcd"), [True] * 5, ["x"] * 5), r"shape \(5, 2\), 4 ids"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a page from a file; what the browser complains of, and what it asks for, is in `.complaints`."""
    contexts = []

    def open_it(text, **settings):
        path = tmp_path / "index.html"
        path.write_text(text, encoding="utf-8")
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith((path.as_uri(), "data:")) or page.complaints.append(request.url),
        )
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()


def label_column(page, column):
    return page.locator(f"#label-rows tbody tr:visible > :nth-child({column})").all_text_contents()


def test_labels_are_sorted_and_filtered(open_page):
    page = open_page(html_report(make_report(), make_details()))
    assert label_column(page, 1) == ["dog", "Siamese cat", "snow leopard"]
    page.get_by_role("button", name="images").click()
    assert label_column(page, 5) == ["1,300", "50", "7"]
    assert page.locator("th[aria-sort]").all_text_contents() == ["images"]
    page.get_by_role("button", name="images").click()
    assert label_column(page, 5) == ["7", "50", "1,300"]
    page.locator("#label-rows").get_by_role("button", name="label").click()
    assert label_column(page, 1) == ["dog", "Siamese cat", "snow leopard"]
    # DeViSE's hit@1: what has no figure stays last, whichever way.
    devise = page.get_by_role("button", name="hit@1").nth(1)
    for expected in (["50.0", "25.0", "–"], ["25.0", "50.0", "–"]):
        devise.click()
        assert label_column(page, 8) == expected
    page.fill("#filter", "OUNCE")
    assert label_column(page, 1) == ["snow leopard"] and page.inner_text("#filtered") == "1 of 3"
    page.fill("#filter", "n2")
    assert label_column(page, 1) == ["dog"]
    page.fill("#filter", "")
    assert len(label_column(page, 1)) == 3 and page.inner_text("#filtered") == ""
    assert page.complaints == []


def test_figures_under_the_pointer(open_page):
    page = open_page(html_report(make_report(), make_details()))
    figure = page.locator("#curve-seen")
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg").bounding_box()
    ticks = {text.text_content(): text.bounding_box() for text in figure.locator("text.tick").all()}
    assert figure.locator(".readout").is_hidden()
    page.mouse.move(ticks["5"]["x"] + ticks["5"]["width"] / 2, box["y"] + box["height"] / 2)
    lines = [" ".join(text.split("\n")) for text in figure.locator(".readout > div").all_inner_texts()]
    # The fifth of 20 values from 50 to 90 is 50 + 40 * 4 / 19.
    assert lines == ["hit@5, %", "softmax 40.0", f"DeViSE {50 + 40 * 4 / 19:.1f}"]
    assert figure.locator(".cross").get_attribute("visibility") == "visible"
    readout = figure.locator(".readout").bounding_box()
    assert box["x"] < readout["x"] and readout["x"] + readout["width"] < box["x"] + box["width"]
    assert box["y"] < readout["y"] and readout["y"] + readout["height"] < box["y"] + box["height"]
    page.mouse.move(0, 0)
    assert figure.locator(".readout").is_hidden() and page.complaints == []


def test_one_branch_of_the_map(open_page):
    page = open_page(html_report(make_report(), make_details()))
    button = page.locator("#map-legend").get_by_role("button", name="cat 2")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#label-map g.dim").count() == 2  # the other branch, and the names
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    page.mouse.move(0, 0)
    assert page.locator("#label-map g.dim").count() == 0 and page.complaints == []


def test_without_scripts_nothing_is_missing(open_page):
    page = open_page(html_report(make_report(), make_details()), java_script_enabled=False)
    assert page.locator("#label-rows tbody tr").count() == 3
    assert page.locator("#filter").is_hidden()
    for chart in page.locator("svg.chart, #label-map").all():
        assert chart.bounding_box()["height"] > 100
    assert page.locator("article img").bounding_box()["width"] > 60


def test_hostile_text_in_a_browser(open_page):
    page = open_page(hostile_page(), viewport={"width": 400, "height": 800})
    assert page.title() == "DeViSE: results" and page.complaints == []
    assert page.locator("#label-rows tbody tr").count() == len(HOSTILE)
    page.fill("#filter", "日本語")
    assert page.inner_text("#filtered") == f"1 of {len(HOSTILE)}"
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_screen_in_either_scheme(open_page, scheme, width):
    report = make_report()
    report["command"] += " --labels=" + "/averylongpathwithoutanyspace" * 10
    page = open_page(html_report(report, make_details()), viewport={"width": width, "height": 640}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    back, text = page.evaluate(
        "['backgroundColor', 'color'].map((name) => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number))"
    )
    assert (sum(back) < sum(text)) == (scheme == "dark")
    assert abs(sum(back) - sum(text)) > 500
    assert page.complaints == []


def test_print_is_light_and_fits_the_paper(open_page):
    details = make_details()
    details.label_rows = details.label_rows * 100
    report = make_report()
    report["differences"] *= 10
    page = open_page(html_report(report, details), viewport={"width": 688, "height": 900}, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(label_column(page, 1)) == 60 and page.locator("nav").is_hidden()
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.slow
def test_all_of_imagenet_is_usable(open_page):
    count = 2000
    ids = [f"n{i:08}" for i in range(count)]
    hits = {"devise": {"hit@1": 0.5}, "softmax": {"hit@1": 0.25}}
    rng = np.random.default_rng(0)
    details = ReportDetails(
        label_rows=[LabelRow(label, [label], True, i, "whole", hits) for i, label in enumerate(ids)],
        map=LabelMap(rng.normal(size=(count, 2)), ids, [True] * count, ["a"] * count),
    )
    page = open_page(html_report(make_report(), details))
    begin = time.monotonic()
    page.locator("#label-rows").get_by_role("button", name="id").click()
    page.fill("#filter", "n00000007")
    assert label_column(page, 2) == ["n00000007"]
    assert time.monotonic() - begin < 30 and page.complaints == []
