"""What the label vectors of a model are made of."""

import dataclasses
from typing import Any

import numpy as np

from devise_tf.choices import LABEL_TERMS
from devise_tf.labels.similarity_profile import SimilarityProfile

# What a model may say, beside what `WordSpace` takes: that its label vectors are of no terms.
NO_TERMS = "none"


@dataclasses.dataclass(frozen=True)
class SpaceRecipe:
    """What a model's label vectors are made of, for whoever makes those of other labels.

    Args:
        label_terms: String. `"first"`, `"mean"`, `"heads"` or `"random"`, as in
            `devise_tf.labels.WordSpace`; or `"none"`, of no terms, such as random vectors.
        profile: `SimilarityProfile`. Where label vectors are profiles of similarities; None where they are of words.
        described: Boolean. Whether vectors of described labels stand for what they are called.

    Raises:
        ValueError: `label_terms` is unknown.
    """

    label_terms: str = "first"
    profile: SimilarityProfile | None = None
    described: bool = False

    def __post_init__(self) -> None:
        known = (*LABEL_TERMS, NO_TERMS)
        if self.label_terms not in known:
            raise ValueError(f"`label_terms` must be one of {known}. Received: label_terms={self.label_terms!r}")

    def get_config(self) -> dict[str, Any]:
        """The recipe without the numbers of its profile's references, which a model saves as a weight."""
        profile = self.profile and {
            "references_shape": list(self.profile.references.shape),
            "temperature": self.profile.temperature,
        }
        return {"label_terms": self.label_terms, "profile": profile, "described": self.described}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SpaceRecipe":
        """The recipe with references of zeros, until weights are loaded."""
        profile = config["profile"]
        if profile is not None:
            profile = SimilarityProfile(np.zeros(profile["references_shape"]), profile["temperature"])
        return cls(config["label_terms"], profile, config.get("described", False))
