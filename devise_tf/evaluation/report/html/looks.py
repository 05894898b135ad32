"""What models look like on a page; their names and colors are in `report/models.py`."""

import html
from collections.abc import Iterable

from devise_tf.evaluation.report.html.text import clip
from devise_tf.evaluation.report.models import MODELS, OTHER_LOOKS, in_order


class Looks:
    """What models are called on a page and which CSS class colors them: one each, the same in all parts.

    Models without a color of their own get one of three, in the order in which they are first shown.
    """

    def __init__(self):
        self._looks = {row.name: (row.colors, row.dash) for row in MODELS.values()}

    def style(self, model: str) -> str:
        """The CSS class of a model."""
        if model not in self._looks:
            self._looks[model] = OTHER_LOOKS[(len(self._looks) - len(MODELS)) % len(OTHER_LOOKS)]
        return f"m{list(self._looks).index(model)}"

    def styles(self) -> tuple[list[str], list[str]]:
        """CSS rules for light and for dark pages, for all models that `style` was asked for till now."""
        light, dark = [], []
        for model, ((on_light, on_dark), dash) in self._looks.items():
            light.append(f".{self.style(model)}{{--c:{on_light};--dash:{dash or 'none'}}}")
            dark.append(f".{self.style(model)}{{--c:{on_dark}}}")
        return light, dark

    def plain_title(self, model: str, most: int = 40) -> str:
        """The name of a model, of at most `most` characters, not for HTML."""
        name, bracket, rest = model.partition(" (")  # the paper's rows: "devise (500-D)"
        title = MODELS[name].title if name in MODELS else name
        return clip(title + bracket + rest, most)

    def title(self, model: str, most: int = 40) -> str:
        """The name for HTML."""
        return html.escape(self.plain_title(model, most))

    def dot(self, model: str) -> str:
        """The name behind a dot of the model's color."""
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
