"""The map of the label vectors."""

import html
import math
import unicodedata
from collections import Counter
from collections.abc import Mapping

import numpy as np

from devise_tf.evaluation.report.colors import GROUPS
from devise_tf.evaluation.report.html.chart import diamond
from devise_tf.evaluation.report.html.text import clip, escape, label_name, number, plural
from devise_tf.evaluation.report.label_map import LabelMap
from devise_tf.evaluation.report.label_plane import place_names

_WIDTH, _HEIGHT, _MARGIN = 960, 640, 24
_MAX_NAMES = 60
_GRAY = len(GROUPS) - 1
# Where a name may stand, as seen from its point: how far its anchor is, and on which side.
_SIDES = ((9, 4, "start"), (-9, 4, "end"), (0, -9, "middle"), (0, 18, "middle"))
_BEFORE = {"start": 0.0, "end": 1.0, "middle": 0.5}  # the share of a text's length that lies before its anchor


def map_styles() -> tuple[list[str], list[str]]:
    """CSS rules of the groups' colors, for light and for dark pages."""
    light, dark = ([f".g{i}{{--c:{pair[k]}}}" for i, pair in enumerate(GROUPS)] for k in (0, 1))
    return light, dark


def map_section(label_map: LabelMap | None, names: Mapping[str, str], labels: int, most: int) -> str:
    """The map of at most `most` points.

    Args:
        label_map: LabelMap or None. The map.
        names: Mapping of str. Display names by label id.
        labels: int. Number of all labels, where there are more than in the map.
        most: int. Largest number of points.
    """
    if label_map is None or not len(label_map.ids):
        return ""
    count = len(label_map.ids)
    rows = list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()
    if not rows:
        return '<p class="hint">It would not fit in the page.</p>'
    points = label_map.points[rows]
    low, reach = points.min(axis=0), np.ptp(points, axis=0)
    points = (points - low) / np.where(reach > 0, reach, 1)
    points = points * (_WIDTH - 2 * _MARGIN, 2 * _MARGIN - _HEIGHT) + (_MARGIN, _HEIGHT - _MARGIN)
    sizes = Counter(label_map.groups[row] for row in rows)
    named = sorted((group for group in sizes if group != "other"), key=lambda group: (-sizes[group], group))
    colors = {group: i for i, group in enumerate(named[:_GRAY])}
    members: dict[int, list[int]] = {}
    for position, row in enumerate(rows):
        members.setdefault(colors.get(label_map.groups[row], _GRAY), []).append(position)
    radius = float(np.clip(math.sqrt(5000 / len(rows)), 2.2, 5.5))
    layers, legend = [], []
    for color in sorted(members, reverse=True):  # the gray ones below
        marks = [_mark(label_map, rows[i], points[i], radius, names) for i in members[color]]
        layers.append(f'<g class="g{color}">{"".join(marks)}</g>')
    for color in sorted(members):
        name = "other" if color == _GRAY else named[color]
        legend.append(
            f'<li class="g{color}" data-group="g{color}"><i class="dot"></i>{escape(name, 40)} '
            f'<span class="soft">{len(members[color]):,}</span></li>'
        )
    every = max(count, labels)
    shown = plural(len(rows), "label") if len(rows) == every else f"{len(rows):,} of {plural(every, 'label')}"
    shapes = "Circles are seen labels, diamonds unseen ones. " if not all(label_map.seen[i] for i in rows) else ""
    texts = _names(points, [clip(names.get(label_map.ids[row], label_map.ids[row]), 26) for row in rows])
    return (
        f'<p class="hint">{shown} by t-SNE: labels whose vectors have a large cosine lie together. {shapes}'
        "Colors are branches of the hierarchy; a point’s name is shown under the pointer.</p>"
        '<figure class="map"><div class="scroll" tabindex="0" role="region" aria-labelledby="map-title">'
        f'<svg id="label-map" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Map of the label vectors">'
        f'{"".join(layers)}<g class="names">{texts}</g></svg></div>'
        f'<ul class="legend" id="map-legend">{"".join(legend)}</ul></figure>'
    )


def _mark(label_map: LabelMap, row: int, point: np.ndarray, radius: float, names: Mapping[str, str]) -> str:
    """A circle for a seen label, a diamond for an unseen one."""
    x, y = point
    kind = "seen" if label_map.seen[row] else "unseen"
    title = f"<title>{label_name(names, label_map.ids[row])} ({kind}; {escape(label_map.groups[row], 40)})</title>"
    if label_map.seen[row]:
        return f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}">{title}</circle>'
    return f'<path d="{diamond(x, y, 1.5 * radius)}">{title}</path>'


def _names(points: np.ndarray, names: list[str]) -> str:
    """Names of some points, as SVG."""

    def boxes_of(point):
        x, y = points[point]
        # Widths of this font as browsers draw it, nearly.
        wide = sum(unicodedata.east_asian_width(character) in "WF" for character in names[point])
        length = 6.4 * (len(names[point]) - wide) + 12 * wide
        boxes = []
        for dx, dy, anchor in _SIDES:
            left = dx - _BEFORE[anchor] * length
            boxes.append((x + left - 2, y + dy - 11, x + left + length + 2, y + dy + 4))
        return boxes

    texts = []
    for point, side in place_names(points, boxes_of, (0, 0, _WIDTH, _HEIGHT), _MAX_NAMES):
        dx, dy, anchor = _SIDES[side]
        x, y = points[point]
        texts.append(
            f'<text x="{number(x + dx)}" y="{number(y + dy)}" text-anchor="{anchor}">{html.escape(names[point])}</text>'
        )
    return "".join(texts)
