"""What the reports call settings and models, and in which order they show them."""

from collections.abc import Iterable

SETTINGS = {
    "seen": "Seen labels",
    "unseen": "Unseen labels among unseen candidates",
    "unseen+seen": "Unseen labels among all candidates",
}
MODELS = {
    "softmax": "softmax",
    "devise": "DeViSE",
    "devise_projection": "DeViSE, frozen CNN",
    "profiles": "DeViSE, profiles",
    "random": "random embedding",
    "conse": "ConSE",
    "conse_1": "ConSE, best label",
    "conse_all": "ConSE, all labels",
    "l2": "L2 loss",
    "chance": "chance",
}


def in_order(models: Iterable[str]) -> list[str]:
    """Models in the order of `MODELS`, others by name before chance."""
    places = {model: place for place, model in enumerate(MODELS)}
    return sorted(models, key=lambda model: (places.get(model, places["chance"] - 0.5), model))
