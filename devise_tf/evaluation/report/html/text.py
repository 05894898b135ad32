"""Names and figures as text of the page."""

import html
import math
from collections.abc import Mapping
from typing import TypeGuard

from devise_tf.evaluation.figures.metrics import PERCENT, Format


def clip(value: object, most: int) -> str:
    """Text of at most `most` characters, without lone surrogates, which UTF-8 does not have."""
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def escape(value: object, most: int = 2000) -> str:
    """Text for HTML."""
    return html.escape(clip(value, most))


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def label_name(names: Mapping[str, str], label: str) -> str:
    """A label's display name, or else its id, for HTML."""
    return escape(names.get(label, label), 60)


def label_element(names: Mapping[str, str], label: str) -> str:
    """The name as an element that shows the id under the pointer."""
    return f'<bdi title="{escape(label, 60)}">{label_name(names, label)}</bdi>'


def known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def figure(value: float | None, form: Format = PERCENT) -> str:
    """A figure in its form; a dash where there is none."""
    return form(value) if known(value) else "–"


def signed(value: float, form: Format = PERCENT) -> str:
    return ("−" if value < 0 else "+") + figure(abs(value), form)


def score(value: float | None) -> str:
    """A score or cosine."""
    return f"{value:.2f}".replace("-", "−") if known(value) else "–"


def number(value: float) -> str:
    """A length or position for SVG."""
    return f"{value:.1f}".removesuffix(".0")


def percent(share: float) -> str:
    """A tick or another round figure, in per cent."""
    return f"{100 * share:.6g}"


def interval_of(report: Mapping, setting: str, model: str, metric: str) -> tuple[float, float] | None:
    """Both ends of a figure's interval in `report["intervals"]`; None without one, or where it has no number."""
    bounds = report.get("intervals", {}).get(setting, {}).get(model, {}).get(metric)
    return (bounds[0], bounds[1]) if bounds and all(map(known, bounds)) else None
