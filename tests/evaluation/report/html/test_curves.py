import math
import re

import numpy as np
import pytest

from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from tests.helpers.report_example import KS, make_details, make_report, parse


def test_curves_run_through_the_figures():
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
    # One color a model throughout.
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
def test_axes_end_at_round_figures(most, ticks):
    page = html_report({"command": ""}, ReportDetails(curves={"seen": {"devise": [0.0, most]}}))
    result = parse(page).one("figure", id="curve-seen").all("text", class_="tick")
    assert [node.text() for node in result if "dy" in node.attributes] == ticks


def test_trade_chart_shows_seen_against_unseen_accuracy():
    document = parse(html_report(make_report(), make_details()))
    figure = document.one("figure", id="curve-generalized")
    grid = [node for node in figure.all("text", class_="tick") if node.text().replace(".", "").isdigit()]
    across = {float(n.text()): float(n.attributes["x"]) for n in grid if "dy" not in n.attributes}
    up = {float(n.text()): float(n.attributes["y"]) for n in grid if "dy" in n.attributes}

    def position(unseen, seen):
        (x0, x1), (y0, y1) = (0, max(across)), (0, max(up))
        return (
            across[x0] + (across[x1] - across[x0]) * unseen / x1,
            up[y0] + (up[y1] - up[y0]) * seen / y1,
        )

    assert max(across) >= 12 and max(up) >= 30
    (layer,) = [node for node in figure.all("g") if node.all("title")]
    path = layer.one("path", class_="line").attributes["d"]
    points = [tuple(map(float, pair.split())) for pair in path.removeprefix("M").split("L")]
    assert points == pytest.approx(np.array([position(0, 30), position(10, 20), position(12, 0)]), abs=0.11)
    circle = layer.one("circle").attributes
    assert (float(circle["cx"]), float(circle["cy"])) == pytest.approx(position(2, 30), abs=0.11)
    x, y = map(float, re.match(r"M(\S+) (\S+?)l", layer.one("path", class_="mark").attributes["d"]).groups())
    assert (x, y + 6.5) == pytest.approx(position(10, 20), abs=0.11)
