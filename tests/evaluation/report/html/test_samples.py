import base64

from devise_tf.evaluation.report.html.page import html_report
from tests.helpers.report_example import jpeg, make_details, make_report, parse


def test_samples_mark_true_and_near_labels():
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
