"""The preset that comes with the package, loaded once, and how it scores labels for a drawing."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
from PIL import Image, ImageDraw

from devise_tf.labels import LabelSet
from devise_tf.packaged import packaged_path
from tests.helpers import commands

if TYPE_CHECKING:
    from devise_tf.models.predictor import Predictor


def preset(model: str | None = None) -> "Predictor":
    """The preset's model of this name, by default the one that it answers with."""
    return _loaded(model)


@functools.cache
def _loaded(model: str | None) -> "Predictor":
    import devise_tf.models

    return devise_tf.models.load(model=model)


@functools.cache
def imagenet() -> LabelSet:
    """ImageNet's 1,000 labels with their terms."""
    return LabelSet.load(packaged_path("models/imagenet/labels_1k.txt"))


@functools.cache
def drawing(width: int = 320, height: int = 240) -> Image.Image:
    """A picture of which no two sides are alike."""
    image = Image.new("RGB", (width, height), (120, 160, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 2 // 3, width, height), fill=(60, 120, 40))
    draw.ellipse((width // 8, height // 3, width // 2, height * 5 // 6), fill=(200, 150, 60))
    draw.polygon([(width * 3 // 4, 0), (width, 0), (width, height // 2)], fill=(250, 240, 90))
    return image


def scores(labels: LabelSet | Sequence[str] | None, model: str | None = None) -> dict[str, float]:
    """The scores of labels for the drawing by id; a label that the model does not know has none."""
    [answers] = preset(model).predict_labels(np.asarray(drawing()), labels, k=100_000)
    return {answer.id: answer.score for answer in answers}


def same_scores(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """Those of the texts whose score is that of the other text at the same position."""
    first, second = scores(list(dict.fromkeys(labels))), scores(list(dict.fromkeys(others)))
    pairs = zip(labels, others, strict=True)
    return [text for text, other in pairs if abs(first.get(text, np.inf) - second.get(other, np.inf)) < 1e-5]


def nearest_names(texts: Sequence[str]) -> list[str | None]:
    """For each text the nearest of ImageNet's names, by the vectors that they have as labels; None of unknown ones."""
    names = preset().known(known_names())
    try:
        table = preset().known(texts)
    except ValueError:  # none of them is known
        return [None] * len(texts)
    rows = np.argmax(np.asarray(table.values) @ np.asarray(names.values).T, axis=1)
    nearest = {text: names.ids[row] for text, row in zip(table.ids, rows, strict=True)}
    return [nearest.get(text) for text in texts]


@functools.cache
def known_names() -> list[str]:
    """ImageNet's names that the preset has vectors for, each once."""
    return list(preset().known(list(dict.fromkeys(terms[0] for terms in imagenet().terms))).ids)


def predict(*arguments: object) -> commands.Outcome:
    """Runs `python -m devise_tf.predict` in this process, with the preset that is loaded already."""
    from devise_tf import predict as command

    loaded = preset()
    with mock.patch("devise_tf.models.load", lambda *_: loaded):
        return commands.call(command.run, *arguments)
