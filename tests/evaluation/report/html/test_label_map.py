import re

import numpy as np

from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from devise_tf.evaluation.report.label_map import LabelMap
from tests.helpers.report_example import make_details, make_report, parse


def test_map_draws_labels_by_group_and_kind():
    document = parse(html_report(make_report(), make_details()))
    drawing = document.one("svg", id="label-map")
    titles = {node.one("title").text(): node.tag for tag in ("circle", "path") for node in drawing.all(tag)}
    assert titles == {
        "Siamese cat (unseen; cat)": "path",
        "dog (seen; other)": "circle",
        "snow leopard (seen; cat)": "circle",
    }
    # "other" is gray, whatever its size, and lies below the rest.
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


def test_groups_beyond_the_colors_are_gray():
    groups = [f"group {i % 15:02}" for i in range(45)] + ["group 00"]
    points = np.random.default_rng(0).normal(size=(46, 2))
    details = ReportDetails(map=LabelMap(points, [f"n{i}" for i in range(46)], [True] * 46, groups))
    legend = parse(html_report({"command": ""}, details)).one("ul", id="map-legend")
    assert [node.text() for node in legend.all("li")] == [
        "group 00 4", *(f"group {i:02} 3" for i in range(1, 12)), "other 9",
    ]  # fmt: skip
