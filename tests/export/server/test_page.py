"""The page in a browser. Chromium is looked for on the path, and driven by playwright."""

import base64
import contextlib

import pytest
from PIL import Image

from devise_tf.photo_bytes import plain_bytes
from tests.helpers.clients import rest, until
from tests.helpers.image_files import encode, noise


@pytest.fixture
def open_page(browser, server):
    """Opens the page; what the browser complains of, and what it asks of others, is in `.complaints`."""
    with contextlib.ExitStack() as contexts:

        def open_it(**settings):
            context = browser.new_context(**settings)
            contexts.callback(context.close)
            page = context.new_page()
            page.complaints, page.choosers = [], []
            page.on("filechooser", lambda chooser: page.choosers.append(chooser))
            page.on("console", lambda message: page.complaints.append(message.text))
            page.on("pageerror", lambda error: page.complaints.append(str(error)))
            page.on(
                "request",
                lambda request: (
                    request.url.startswith((server.rest_address, "blob:", "data:"))
                    or page.complaints.append(request.url)
                ),
            )
            page.goto(f"{server.rest_address}/")
            return page

        yield open_it


@pytest.fixture
def photo(photos, tmp_path):
    path = tmp_path / "my photo.jpg"
    path.write_bytes(photos[0])
    return str(path)


def _rows(page):
    return [tuple(row.locator("span").all_text_contents()) for row in page.locator("#scores li").all()]


def _answer(page, count):
    # Not by `wait_for_function`, which is code in a string: the page's policy does not allow it.
    until(lambda: page.locator("#scores li").count() == count)
    return _rows(page)


def test_without_labels_the_model_answers_with_its_own(open_page, photo):
    page = open_page()
    assert page.locator("#message").inner_text() == "Choose a photo first."
    assert page.locator("#send").is_disabled()
    page.set_input_files("#file", photo)
    rows = _answer(page, 3)
    assert {name for name, _ in rows} <= {"snow leopard", "cat", "dog", "red panda", "zebra"}
    scores = [float(score) for _, score in rows]
    assert scores == sorted(scores, reverse=True)
    assert page.locator("#message").is_hidden()
    assert page.locator("#preview").get_attribute("alt") == "The chosen photo, my photo.jpg"
    widths = [bar.bounding_box()["width"] for bar in page.locator(".bar").all()]
    track = page.locator(".track").first.bounding_box()["width"]
    for width, score in zip(widths, scores, strict=True):
        assert width == pytest.approx(track * max(0.0, score), abs=1.0)
    assert page.complaints == []


def test_labels_are_text_and_nothing_else(open_page, photo):
    page = open_page()
    strange = "<img src=x onerror=alert(1)>"
    page.fill("#labels", f"cat, Red Panda\n\n zebra,cat,no such thing\n{strange}")
    page.set_input_files("#file", photo)
    rows = dict(_answer(page, 5))
    assert rows.keys() == {"cat", "Red Panda", "zebra", "no such thing", strange}
    assert rows["no such thing"] == rows[strange] == "unknown"
    assert all(-1 <= float(rows[name]) <= 1 for name in ("cat", "Red Panda", "zebra"))
    assert page.locator("#scores li.unknown .bar").count() == 0
    assert page.locator("#scores img").count() == 0
    # Other labels for the same photo.
    page.fill("#labels", "dog")
    page.click("#send")
    assert [name for name, _ in _answer(page, 1)] == ["dog"]
    assert page.complaints == []


def test_errors_can_be_read(open_page, photo, tmp_path):
    page = open_page()
    page.set_input_files("#file", photo)
    _answer(page, 3)
    text = tmp_path / "text.jpg"
    text.write_bytes(b"no image")
    page.set_input_files("#file", str(text))
    until(lambda: page.inner_text("#message") == "not a JPEG, PNG, GIF or BMP image")
    assert page.locator("#preview").is_hidden()
    assert page.locator("#message").get_attribute("class") == "bad" and _rows(page) == []
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\xff" * 3_000_000)
    page.set_input_files("#file", str(large))
    until(lambda: "large.jpg is too large: this server takes photos of up to 1 MiB" in page.inner_text("#message"))
    page.set_input_files("#file", photo)
    page.route("**/*:predict", lambda route: route.abort())
    page.click("#send")
    until(lambda: page.inner_text("#message") == "The server does not answer. Is it still running?")


def test_page_works_with_the_keyboard_alone(open_page, photo):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    page.keyboard.press("Enter")
    until(lambda: page.wait_for_timeout(10) or page.choosers)
    page.choosers[0].set_files(photo)
    _answer(page, 3)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "labels"
    page.keyboard.type("zebra")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "send"
    page.keyboard.press("Enter")
    assert [name for name, _ in _answer(page, 1)] == ["zebra"]
    # Every control has a name, and answers are announced.
    assert page.get_by_label("Labels", exact=True).count() == 1
    assert page.get_by_role("button", name="Choose another photo").count() == 1
    assert page.locator("[aria-live=polite] #scores").count() == 1


def test_a_photo_may_be_dropped(open_page, photos):
    page = open_page()
    page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
          document.getElementById("drop").dispatchEvent(
            new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        list(photos[1]),
    )
    _answer(page, 3)
    assert page.inner_text("#name") == "dropped.jpg" and page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_small_screen_in_either_scheme(open_page, photo, scheme):
    page = open_page(viewport={"width": 360, "height": 640}, color_scheme=scheme)
    page.fill("#labels", "cat, " + "averylongwordwithoutanyspace" * 10)
    page.set_input_files("#file", photo)
    _answer(page, 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    back, text = page.evaluate(
        "['backgroundColor', 'color'].map((name) => getComputedStyle(document.body)[name].match(/\\d+/g).map(Number))"
    )
    assert (sum(back) < sum(text)) == (scheme == "dark")
    assert abs(sum(back) - sum(text)) > 500


def test_a_turned_photo_is_sent_upright(open_page, server, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    path.write_bytes(encode(noise(40, 24), "JPEG", exif=exif))
    page = open_page()
    page.set_input_files("#file", str(path))
    rows = _answer(page, 3)
    image = {"b64": base64.b64encode(plain_bytes(path.read_bytes())).decode()}
    outputs = rest(server, "/v1/models/devise:predict", {"inputs": {"image_bytes": [image]}})[1]["outputs"]
    assert rows == [
        (name, f"{score:.3f}") for name, score in zip(outputs["labels"][0], outputs["scores"][0], strict=True)
    ]
    assert page.complaints == []
