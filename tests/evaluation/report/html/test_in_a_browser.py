"""The page in a browser. Chromium is looked for on the path."""

import time

import numpy as np
import pytest

from devise_tf.evaluation.figures.label_figures import LabelRow
from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from devise_tf.evaluation.report.label_map import LabelMap
from tests.helpers.report_example import HOSTILE, hostile_page, make_details, make_report


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


def test_map_shows_one_group_at_a_click(open_page):
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


def test_page_is_whole_without_scripts(open_page):
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
def test_page_fits_any_screen_in_light_and_dark(open_page, scheme, width):
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
