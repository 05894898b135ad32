"""Charts as SVG."""

import math
from collections.abc import Iterable, Mapping, Sequence

from devise_tf.evaluation.report.html.looks import Looks
from devise_tf.evaluation.report.html.text import number, percent


class Chart:
    """A plane with axes from 0: figures are shares, shown in per cent.

    Args:
        y_most: float. Largest figure; the axis ends at a round one.
        x_most: float. Where the x axis ends.
    """

    width, height = 512, 324
    left, right, top, bottom = 44, 364, 16, 276

    def __init__(self, y_most: float, x_most: float):
        self.y_ticks = ticks(y_most)
        self.y_most, self.x_most = self.y_ticks[-1], x_most

    def x(self, value: float) -> float:
        return self.left + (self.right - self.left) * value / self.x_most

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * value / self.y_most

    def axes(self, x_ticks: Sequence[tuple[float, str]], x_title: str, y_title: str) -> str:
        parts = []
        for value in self.y_ticks:
            y = number(self.y(value))
            parts.append(f'<line class="grid" x1="{self.left}" y1="{y}" x2="{self.right}" y2="{y}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 7}" y="{y}" dy=".35em" text-anchor="end">{percent(value)}</text>'
            )
        for value, text in x_ticks:
            x = number(self.x(value))
            parts.append(f'<line class="axis" x1="{x}" y1="{self.bottom}" x2="{x}" y2="{self.bottom + 5}"/>')
            parts.append(f'<text class="tick" x="{x}" y="{self.bottom + 18}" text-anchor="middle">{text}</text>')
        middle = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        parts.append(
            f'<line class="axis" x1="{self.left}" y1="{self.bottom}" x2="{self.right}" y2="{self.bottom}"/>'
            f'<text class="tick" x="{middle[0]}" y="{self.bottom + 38}" text-anchor="middle">{x_title}</text>'
            f'<text class="tick" transform="translate(11 {middle[1]}) rotate(-90)" text-anchor="middle">'
            f"{y_title}</text>"
            f'<line class="cross" x1="0" y1="{self.top}" x2="0" y2="{self.bottom}" visibility="hidden"/>'
        )
        return "".join(parts)

    def line(self, points: Iterable[tuple[float, float]]) -> str:
        pairs = [f"{number(self.x(x))} {number(self.y(y))}" for x, y in points]
        # A single point is drawn as a dot, by the line's round ends.
        return f'<path class="line" d="M{"L".join(pairs if len(pairs) > 1 else pairs * 2)}"/>'

    def bar(self, x: float, low: float, high: float) -> str:
        """An interval of figures, at `x` pixels."""
        start, end = number(self.y(low)), number(self.y(high))
        return f'<path class="interval" d="M{number(x)} {start}V{end}m-2.5 0h5M{number(x - 2.5)} {start}h5"/>'

    def circle(self, x: float, y: float) -> str:
        return f'<circle class="mark" cx="{number(self.x(x))}" cy="{number(self.y(y))}" r="4.5"/>'

    def diamond(self, x: float, y: float) -> str:
        return f'<path class="mark" d="{diamond(self.x(x), self.y(y), 6.5)}"/>'

    def end_names(self, ends: Mapping[str, float], looks: Looks) -> list[str]:
        """Models' names at the right ends of their lines, moved apart, with a thin line to each line's end.

        Args:
            ends: Mapping of float by model. The height of each line's end in pixels.
            looks: Looks. Of the models.
        """
        models = sorted(ends, key=lambda model: ends[model])
        heights = apart([ends[model] for model in models], 13, self.top + 4, self.bottom)
        return [
            f'<g class="{looks.style(model)}"><line class="lead" x1="{self.right + 10}" y1="{number(ends[model])}" '
            f'x2="{self.right + 17}" y2="{number(height)}"/><text class="direct" x="{self.right + 20}" '
            f'y="{number(height + 4)}">{looks.title(model, 18)}</text></g>'
            for model, height in zip(models, heights, strict=True)
        ]

    def svg(self, parts: Iterable[str], title: str) -> str:
        return (
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{title}">'
            f"{''.join(parts)}</svg>"
        )


def diamond(x: float, y: float, radius: float) -> str:
    """The path of a diamond."""
    r = number(radius)
    return f"M{number(x)} {number(y - radius)}l{r} {r}l-{r} {r}l-{r} -{r}z"


def ticks(most: float) -> list[float]:
    """At most seven round figures from 0 to just above `most`."""
    most = max(most, 1e-3)
    size = 10.0 ** math.floor(math.log10(most / 6))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if 6 * size * factor >= most * (1 - 1e-9))
    return [i * step for i in range(math.ceil(most / step - 1e-9) + 1)]


def decades(most: int) -> list[int]:
    """1, 2, 5, 10, 20, … up to `most`; of long scales only the powers of ten."""
    factors = (1, 2, 5) if most <= 300 else (1,)
    return [f * 10**i for i in range(len(str(most))) for f in factors if f * 10**i <= most]


def apart(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Rising positions moved so that they are `gap` apart and, where there is room, between `low` and `high`."""
    moved: list[float] = []
    for position in positions:
        moved.append(max(position, moved[-1] + gap if moved else low))
    limit = high
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - gap
    return moved
