"""Names and colours of the models."""

import html
from collections.abc import Iterable

from devise_tf.evaluation.report.html.text import clip
from devise_tf.evaluation.report.titles import MODELS, in_order

# Colours for light and dark pages, and dashes. The colours of the first rank, those of the solid lines, stay apart for
# people who see no red or no green; dashes and names at the lines tell the others.
_COLORS = {
    "softmax": ("#b84a00", "#ff8a33", ""),
    "devise": ("#2f6fd6", "#5b95ff", ""),
    "devise_projection": ("#0f3d91", "#a5cdff", "6 3"),
    "profiles": ("#6b0018", "#fc5490", ""),
    "random": ("#86206f", "#f59ae8", ""),
    "conse": ("#00775a", "#6fe8a0", ""),
    "conse_1": ("#5c8a1e", "#b6d957", "6 3"),
    "conse_all": ("#0b7285", "#4fb3c8", "2 3"),
    "l2": ("#a07520", "#d3c060", "12 3"),
    "chance": ("#807d8c", "#8f8c98", "1 3"),
}
_OTHERS = (("#5b4ab8", "#b3a4ff", "8 2 2 2"), ("#b0244a", "#ff8095", "4 2"), ("#4a4a4a", "#d8d8d8", "10 3"))


class Looks:
    """What models are called on a page and which CSS class colours them: one each, the same in all parts.

    Models without a colour of their own get one of three, in the order in which they are first shown.
    """

    def __init__(self):
        self._colors = dict(_COLORS)

    def style(self, model: str) -> str:
        """The CSS class of a model."""
        if model not in self._colors:
            self._colors[model] = _OTHERS[(len(self._colors) - len(_COLORS)) % len(_OTHERS)]
        return f"m{list(self._colors).index(model)}"

    def styles(self) -> tuple[list[str], list[str]]:
        """CSS rules for light and for dark pages, for all models that `style` was asked for till now."""
        light, dark = [], []
        for model, (on_light, on_dark, dash) in self._colors.items():
            light.append(f".{self.style(model)}{{--c:{on_light};--dash:{dash or 'none'}}}")
            dark.append(f".{self.style(model)}{{--c:{on_dark}}}")
        return light, dark

    def plain_title(self, model: str, most: int = 40) -> str:
        """The name of a model, of at most `most` characters, not for HTML."""
        name, bracket, rest = model.partition(" (")  # the paper's rows: "devise (500-D)"
        return clip(MODELS.get(name, name) + bracket + rest, most)

    def title(self, model: str, most: int = 40) -> str:
        """The name for HTML."""
        return html.escape(self.plain_title(model, most))

    def dot(self, model: str) -> str:
        """The name behind a dot of the model's colour."""
        return f'<i class="dot {self.style(model)}"></i>{self.title(model)}'

    def row_head(self, model: str) -> str:
        return f'<th scope="row">{self.dot(model)}</th>'

    def legend(self, models: Iterable[str]) -> str:
        items = "".join(
            f'<li class="{self.style(model)}"><svg width="30" height="10" aria-hidden="true">'
            f'<line class="line" x1="1" y1="5" x2="29" y2="5"/></svg>{self.title(model)}</li>'
            for model in in_order(models)
        )
        return f'<ul class="legend">{items}</ul>'
