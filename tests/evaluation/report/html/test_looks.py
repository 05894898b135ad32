import itertools
import re

import numpy as np
import pytest

from devise_tf.evaluation.report.html.looks import Looks

MAIN = ("softmax", "devise", "profiles", "random", "conse")
# What people see who lack the cones for red, and those for green (Machado et al., 2009), in linear RGB.
SIGHTS = {
    "all": np.eye(3),
    "no red": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "no green": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
}


def colors(rules):
    """Colors by CSS class, linear RGB."""
    result = {}
    for rule in rules:
        style, color = re.match(r"\.(m\d+)\{--c:#([0-9a-f]{6})", rule).groups()
        shares = np.array([int(color[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        result[style] = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return result


def lab(color):
    """CIELAB of linear RGB under D65."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    t = np.matmul(matrix, np.clip(color, 0, 1)) / (0.9505, 1.0, 1.089)
    x, y, z = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("sight", SIGHTS)
def test_models_that_are_compared_most_are_told_apart(scheme, sight):
    looks = Looks()
    result = colors(looks.styles()[scheme])
    seen = {model: lab(np.matmul(SIGHTS[sight], result[looks.style(model)])) for model in MAIN}
    for a, b in itertools.combinations(MAIN, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 18, (a, b)


def test_names_are_legible():
    # WCAG's contrast with the page's background, #fff and #16181d.
    looks = Looks()
    for rules, back in zip(looks.styles(), (1.0, 0.0091), strict=True):
        result = colors(rules)
        for model in MAIN:
            light = np.dot((0.2126, 0.7152, 0.0722), result[looks.style(model)])
            assert (max(light, back) + 0.05) / (min(light, back) + 0.05) > 4.5, model


def test_only_the_main_models_have_solid_lines():
    looks = Looks()
    solid = {rule.partition("{")[0] for rule in looks.styles()[0] if "--dash:none" in rule}
    assert solid == {f".{looks.style(model)}" for model in MAIN}


def test_models_without_an_entry_share_three_looks():
    looks = Looks()
    known = len(looks.styles()[0])
    styles = [looks.style(model) for model in ("a", "b", "c", "d", "a")]
    assert len(set(styles)) == 4 and styles[0] == styles[4]
    light, dark = looks.styles()
    assert len(light) == len(dark) == known + 4
    rules = dict(rule.removeprefix(".").split("{") for rule in light)
    assert rules[styles[0]] == rules[styles[3]] != rules[styles[1]]
    assert len(Looks().styles()[0]) == known


def test_titles_are_escaped_and_cut():
    looks = Looks()
    assert looks.title("profiles") == "DeViSE, profiles" and looks.title("devise (500-D)") == "DeViSE (500-D)"
    assert looks.title("<b> (x)") == "&lt;b&gt; (x)" and looks.plain_title("x" * 50, 10) == "x" * 9 + "…"
