"""Configurations of `DeViSE` in files from before losses were objects."""

from typing import Any

import numpy as np

from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.layers import named_loss
from devise_tf.models.devise.space_recipe import SpaceRecipe

# What files that lack an entry were saved with: not today's defaults, which may change.
_MARGIN, _TEMPERATURE, _PROFILE_TEMPERATURE = 0.1, 0.05, 0.15


def is_earlier(config: dict[str, Any]) -> bool:
    """Whether a configuration has the name of its loss in place of the loss."""
    return isinstance(config["loss"], str)


def current_arguments(config: dict[str, Any]) -> dict[str, Any]:
    """An earlier configuration's arguments as `DeViSE` or, with a `softmax_weight`, `SoftmaxFusion` takes them."""
    config = dict(config)
    loss = named_loss(
        config.pop("loss"),
        config.pop("margin", _MARGIN),
        config.pop("temperature", _TEMPERATURE),
        num_labels=config.pop("num_labels"),
        dimension=config.pop("dimension"),
        name="ranking_loss",
    )
    shape, temperature = config.pop("profile_references", None), config.pop("profile_temperature", _PROFILE_TEMPERATURE)
    profile = None if shape is None else SimilarityProfile(np.zeros(shape), temperature)
    recipe = SpaceRecipe(config.pop("label_terms", "first"), profile)
    weight = config.pop("softmax_weight", 0.0)
    return {**config, "loss": loss, "space_recipe": recipe, **({"softmax_weight": weight} if weight else {})}
