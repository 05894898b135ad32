"""The paper's figures, for the sets that they were measured on (Frome et al., 2013, Tables 1 to 3)."""

from collections.abc import Mapping, Sequence

from devise_tf.evaluation.figures.metrics import format_of

# Images of each of the 1,000 labels in the published validation set.
VALIDATION_IMAGES = 50
_HITS_1 = ("hit@1", "hit@2", "hit@5", "hit@10", "hp@2", "hp@5", "hp@10", "hp@20")
_ALL = tuple(f"{kind}@{k}" for kind in ("hit", "hp") for k in (1, 2, 5, 10, 20))

# Table 1. Of the two dimensions of each embedding model, the paper's names say which.
_TABLE_1 = {
    "softmax": (55.6, 67.4, 78.5, 85.0, 0.452, 0.342, 0.313, 0.319),
    "devise (500-D)": (53.2, 65.2, 76.7, 83.3, 0.447, 0.352, 0.331, 0.341),
    "devise (1000-D)": (54.9, 66.9, 78.4, 85.0, 0.454, 0.351, 0.325, 0.331),
    "random (500-D)": (52.4, 63.9, 74.8, 80.6, 0.428, 0.315, 0.271, 0.248),
    "random (1000-D)": (50.5, 62.2, 74.2, 81.5, 0.418, 0.318, 0.290, 0.292),
    "chance": (0.1, 0.2, 0.5, 1.0, 0.007, 0.013, 0.022, 0.042),
}
# Tables 2 and 3, by the number of unseen labels in the paper and in the lists that are public.
_ZERO_SHOT = {
    (1589, 1549): {
        "unseen": {"devise": (6.0, 10.0, 18.1, 26.4, 36.4, 0.060, 0.152, 0.192, 0.217, 0.233)},
        "unseen+seen": {
            "devise": (0.8, 2.7, 7.9, 14.2, 22.7, 0.008, 0.204, 0.196, 0.201, 0.214),
            "softmax": (0, 0, 0, 0, 0, 0, 0.236, 0.181, 0.174, 0.179),
        },
    },
    (7860,): {
        "unseen": {"devise": (1.7, 2.9, 5.3, 8.2, 12.5, 0.017, 0.037, 0.191, 0.214, 0.236)},
        "unseen+seen": {
            "devise": (0.5, 1.4, 3.4, 5.9, 9.7, 0.005, 0.053, 0.192, 0.201, 0.214),
            "softmax": (0, 0, 0, 0, 0, 0, 0.053, 0.157, 0.143, 0.130),
        },
    },
    (20841, 20842): {
        "unseen": {"devise": (0.8, 1.4, 2.5, 3.9, 6.0, 0.008, 0.017, 0.072, 0.085, 0.096)},
        "unseen+seen": {
            "devise": (0.3, 0.8, 1.9, 3.2, 5.3, 0.003, 0.025, 0.083, 0.092, 0.101),
            "softmax": (0, 0, 0, 0, 0, 0, 0.023, 0.071, 0.069, 0.065),
        },
    },
}


def paper_figures(
    seen: Sequence[str], unseen: Sequence[str], ilsvrc: Sequence[str], images: Mapping[str, int]
) -> dict[str, dict[str, dict[str, float]]]:
    """The paper's rows for the sets at hand: those that were measured on the same images, as far as can be told.

    Args:
        seen: Sequence of str. Ids of the trained labels.
        unseen: Sequence of str. Ids of the unseen ones.
        ilsvrc: Sequence of str. Ids of the labels of ILSVRC-2012.
        images: Mapping of int. The number of images of each label that has some.

    Returns:
        `{setting: {model: {metric: share}}}`; empty unless the trained labels are those of ILSVRC-2012. Table 1 is in
        it if each of these has the 50 images of the published validation set; Table 2 or 3 if there are as many unseen
        labels as in one of the paper's or the public lists, and all have images.
    """
    if set(seen) != set(ilsvrc):
        return {}
    figures = {}
    if all(images.get(label) == VALIDATION_IMAGES for label in seen):
        figures["seen"] = {model: _shares(_HITS_1, row) for model, row in _TABLE_1.items()}
    for sizes, settings in _ZERO_SHOT.items():
        if len(unseen) in sizes and all(images.get(label) for label in unseen):
            figures |= {name: {m: _shares(_ALL, row) for m, row in rows.items()} for name, rows in settings.items()}
    return figures


def _shares(metrics: Sequence[str], row: Sequence[float]) -> dict[str, float]:
    return {name: value / format_of(name).scale for name, value in zip(metrics, row, strict=True)}
