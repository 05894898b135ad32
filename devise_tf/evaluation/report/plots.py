"""Pictures of label vectors."""

import importlib.util
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from devise_tf.evaluation.report.colors import PRINTED, PRINTED_GRAY
from devise_tf.evaluation.report.label_plane import place_names, t_sne
from devise_tf.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Where a name may stand: how far from its point, in points of print, and how it is aligned.
_SIDES = (
    ((5, 0), "left", "center"),
    ((-5, 0), "right", "center"),
    ((0, 5), "center", "bottom"),
    ((0, -5), "center", "top"),
)


def check_plots() -> None:
    """Raises a `ModuleNotFoundError` that says what to install where scikit-learn or matplotlib is missing."""
    missing = [name for name in ("sklearn", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"The picture needs scikit-learn and matplotlib: pip install 'devise_tf[plots]'. Received: no {missing[0]}"
        )


def plot_label_vectors(
    path: str | os.PathLike,
    vectors: np.ndarray,
    names: Sequence[str],
    groups: Sequence[str],
    seed: int = 0,
    max_names: int = 60,
    title: str = "",
) -> np.ndarray:
    """Draws label vectors in the plane by t-SNE, colored by their groups: the paper's Figure 1b.

    Args:
        path: str or path. The PNG file to write, atomically.
        vectors: float array, shape `[N, D]`, N at least 4. Of unit norm; neighbors in the plane have large cosines.
        names: Sequence of str, length N. Some of them are written beside their points, where there is room.
        groups: Sequence of str, length N. Names of groups, at most 12 besides "other".
        seed: int. Of t-SNE.
        max_names: int. Largest number of names to write.
        title: str. Optional.

    Returns:
        The points, float32 array, shape `[N, 2]`.

    Raises:
        ModuleNotFoundError: scikit-learn or matplotlib is not installed.
        ValueError: An argument is not as above.
    """
    check_plots()
    from matplotlib import patheffects
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or len(vectors) < 4 or not len(vectors) == len(names) == len(groups):
        raise ValueError(
            "t-SNE needs four vectors or more, with a name and a group each. "
            f"Received: vectors of shape {vectors.shape}, {len(names)} names, {len(groups)} groups"
        )
    colors = _colors(groups)
    points = t_sne(vectors, seed)

    figure = Figure(figsize=(11, 7.5), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_points(axes, points, groups, colors)
    if title:
        axes.set_title(title, fontsize=12)
    canvas.draw()  # settles the layout, on which the room for names depends
    halo = [patheffects.withStroke(linewidth=2.2, foreground="white")]
    _write_names(axes, canvas.get_renderer(), points, names, [colors[group] for group in groups], max_names, halo)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})
    return points


def _colors(groups: Sequence[str]) -> dict[str, str]:
    """Colors of the groups, the largest first and "other" last."""
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda group: (group == "other", -sizes[group], group))
    if len(set(order) - {"other"}) > len(PRINTED):
        raise ValueError(f"There must be {len(PRINTED)} groups at most. Received: {order}")
    return {group: PRINTED_GRAY if group == "other" else PRINTED[i] for i, group in enumerate(order)}


def _draw_points(axes: "Axes", points: np.ndarray, groups: Sequence[str], colors: Mapping[str, str]) -> None:
    """Draws the groups' points and the legend, without ticks."""
    size = float(np.clip(12000 / len(points), 3, 55))
    for group, color in colors.items():
        x, y = points[np.array(groups) == group].T
        label = f"{group} ({len(x)})"
        axes.scatter(x, y, s=size, color=color, alpha=0.85, linewidths=0.3, edgecolors="white", label=label)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.05)
    for side in axes.spines.values():
        side.set_color("#d0d0d0")
    legend = axes.legend(
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=10,
        markerscale=max(1.0, (40 / size) ** 0.5),
    )
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1)


def _write_names(
    axes: "Axes",
    renderer: Any,
    points: np.ndarray,
    names: Sequence[str],
    colors: Sequence[str],
    max_names: int,
    halo: Sequence[Any],
) -> None:
    """Writes names beside points far from each other, each where it hides no other name and few points."""

    def write(point):
        return axes.annotate(
            names[point], points[point], xytext=(0, 0), textcoords="offset points", fontsize=8,
            color=_dark(colors[point]), path_effects=halo,
        )  # fmt: skip

    def boxes_of(point):
        text = write(point)
        boxes = []
        for position, side, base in _SIDES:
            text.set(position=position, ha=side, va=base)
            boxes.append(text.get_window_extent(renderer).padded(3).extents)
        text.remove()
        return boxes

    frame = axes.get_window_extent(renderer).extents
    for point, chosen in place_names(axes.transData.transform(points), boxes_of, frame, max_names):
        position, side, base = _SIDES[chosen]
        write(point).set(position=position, ha=side, va=base)


def _dark(color: str) -> tuple[float, float, float]:
    red, green, blue = (0.6 * int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
