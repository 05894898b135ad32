"""What reports call settings and models, how they look and in which order they stand: a new model is a new entry."""

import dataclasses
from collections.abc import Iterable

SETTINGS = {
    "seen": "Seen labels",
    "unseen": "Unseen labels among unseen candidates",
    "unseen+seen": "Unseen labels among all candidates",
}


@dataclasses.dataclass(frozen=True)
class ModelRow:
    """A model in reports.

    Attributes:
        name: str. As in `metrics.json`.
        title: str. As people read it.
        colors: Pair of str. Of its lines and dots on light and on dark pages.
        dash: str. The pattern of its lines; empty for solid ones.
        in_samples: bool. Whether its answers are shown beside single images.
    """

    name: str
    title: str
    colors: tuple[str, str]
    dash: str = ""
    in_samples: bool = False


# In the order of the tables. The colors of the solid lines stay apart for people who see no red or no green; dashes
# and names at the lines tell the others.
_ROWS = (
    ModelRow("softmax", "softmax", ("#b84a00", "#ff8a33"), in_samples=True),
    ModelRow("devise", "DeViSE", ("#2f6fd6", "#5b95ff"), in_samples=True),
    ModelRow("devise_projection", "DeViSE, frozen CNN", ("#0f3d91", "#a5cdff"), "6 3"),
    ModelRow("paper", "DeViSE, the paper’s recipe", ("#1b7f9e", "#58c4e0"), "9 2"),
    ModelRow("paper_projection", "the paper’s recipe, frozen CNN", ("#14596f", "#9adcec"), "9 2 2 2"),
    ModelRow("profiles", "DeViSE, profiles", ("#6b0018", "#fc5490"), in_samples=True),
    ModelRow("random", "random embedding", ("#86206f", "#f59ae8")),
    ModelRow("conse", "ConSE", ("#00775a", "#6fe8a0")),
    ModelRow("conse_1", "ConSE, best label", ("#5c8a1e", "#b6d957"), "6 3"),
    ModelRow("conse_all", "ConSE, all labels", ("#0b7285", "#4fb3c8"), "2 3"),
    ModelRow("conse_profiles", "ConSE among profiles", ("#a3445f", "#ff9db4"), "4 3"),
    ModelRow("l2", "L2 loss", ("#a07520", "#d3c060"), "12 3"),
    ModelRow("chance", "chance", ("#807d8c", "#8f8c98"), "1 3"),
)
MODELS = {row.name: row for row in _ROWS}
# Colors and dashes of models without an entry.
OTHER_LOOKS = (
    (("#5b4ab8", "#b3a4ff"), "8 2 2 2"),
    (("#b0244a", "#ff8095"), "4 2"),
    (("#4a4a4a", "#d8d8d8"), "10 3"),
)


def in_order(models: Iterable[str]) -> list[str]:
    """Models in the order of `MODELS`, others by name before chance."""
    position = {model: i for i, model in enumerate(MODELS)}
    return sorted(models, key=lambda model: (position.get(model, position["chance"] - 0.5), model))


def models_of_samples(models: Iterable[str]) -> list[str]:
    """The models whose answers are shown beside single images: those of the table that are, or else the first three."""
    models = list(dict.fromkeys(models))
    return [model for model in models if model in MODELS and MODELS[model].in_samples] or models[:3]
