import dataclasses
import io
import json
import re
import time

import numpy as np
import pytest
from PIL import Image

from devise_tf.evaluation.figures.label_figures import LabelRow
from devise_tf.evaluation.measure.samples import Sample
from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from devise_tf.evaluation.report.label_map import LabelMap
from tests.helpers.report_example import HOSTILE, cells_of, hostile_page, make_details, make_report, parse

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


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


def test_claims_are_listed_with_verdicts():
    section = parse(html_report(make_report(), ReportDetails())).one("section", id="claims")
    assert "lies within the bounds of its test" in section.one("p", class_="hint").text()
    items = section.all("li")
    assert [[paragraph.text() for paragraph in item.all("p")] for item in items] == [
        [
            "Softmax leads. (DeViSE)",
            "Test: Above 0.",
            "By labels: 55.6 against 53.2",
            "By terms: 55.6 against 55.2",
        ],
        ["DeViSE closes the gap. (my <model>)", "Test: Below 1.", "By labels: x"],
    ]
    verdicts = [[span.text() for span in item.all("span", class_="verdict")] for item in items]
    assert verdicts == [["✓ holds", "? cannot tell"], ["✗ does not hold"]]


@pytest.mark.parametrize("chosen", [None, *make_report()])
def test_any_part_may_be_absent(chosen):
    whole = make_report()
    report = {key: whole[key] for key in ("command", chosen) if key}
    page = html_report(report, ReportDetails())
    document = parse(page)
    sections = [node.attributes["id"] for node in document.all("section")]
    shown = ("seen", "unseen", "generalized", "differences", "claims", "coverage", "notes")
    assert sections == ([chosen] if chosen in shown else [])
    if chosen != "command":
        whole.pop(chosen, None)
        sections = [node.attributes["id"] for node in parse(html_report(whole, make_details())).all("section")]
        assert sections.count(chosen) == (chosen == "labels") and "curves" in sections  # another part has that name


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ReportDetails)])
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


def test_markup_in_data_is_escaped():
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
def test_page_stays_small_with_all_of_imagenet():
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


def test_too_large_pages_show_fewer_rows(monkeypatch):
    details = make_details()
    details.samples = details.samples * 40
    details.label_rows = details.label_rows * 500
    monkeypatch.setattr("devise_tf.evaluation.report.html.page.MAX_BYTES", 150_000)
    page = html_report(make_report(), details)
    document = parse(page)
    assert 75_000 < len(page.encode()) < 150_000
    text = document.one("section", id="labels").text()
    assert "labels with the most images, of 1,500" in text
    monkeypatch.setattr("devise_tf.evaluation.report.html.page.MAX_BYTES", 1)
    document = parse(html_report(make_report(), details))
    assert "would not fit" in document.one("section", id="labels").text()
    assert "would not fit" in document.one("section", id="map").text()
    assert "40 more samples would not fit" in document.one("section", id="samples").text()


def test_long_names_are_cut():
    details = make_details()
    details.names = dict.fromkeys(details.names, "long " * 100_000)
    page = html_report(make_report(), details)
    assert len(page) < 120_000 and "…" in page
