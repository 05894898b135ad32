"""A made-up report and its page, parsed strictly."""

import io
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from devise_tf.evaluation.figures.label_figures import LabelRow
from devise_tf.evaluation.measure.samples import Sample
from devise_tf.evaluation.report.details import ReportDetails
from devise_tf.evaluation.report.html.page import html_report
from devise_tf.evaluation.report.label_map import LabelMap

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
        result = []
        for child in self.children:
            if isinstance(child, Node):
                wanted = {name.rstrip("_"): value for name, value in attributes.items()}
                if tag in (None, child.tag) and all(child.attributes.get(n) == v for n, v in wanted.items()):
                    result.append(child)
                result += child.all(tag, **attributes)
        return result

    def one(self, tag=None, **attributes):
        (result,) = self.all(tag, **attributes)
        return result


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
            result = []
            for cell in row.all("td"):
                small = [node.text() for node in cell.all("small")]
                figure = cell.text().removesuffix(small[0] if small else "")
                result.append((figure, small[0] if small else None, bool(cell.all("b"))))
            rows[heads[0].text()] = result
    return rows


def cells_of(table, title):
    """A measured model's cells; the paper's rows come in a second body."""
    return cells(table.all("tbody")[0])[title]


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
            {"claim": "Softmax leads.", "model": "devise", "test": "Above 0.", "answers": {
                "labels": {"verdict": "holds", "figures": "55.6 against 53.2"},
                "terms": {"verdict": "cannot tell", "figures": "55.6 against 55.2"},
            }},
            {"claim": "DeViSE closes the gap.", "model": "my <model>", "test": "Below 1.", "answers": {
                "labels": {"verdict": "does not hold", "figures": "x"},
            }},
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
        "claims": [{"claim": text, "model": ids[0], "test": text,
                    "answers": {ids[1]: {"verdict": ids[0], "figures": text}}}],
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
