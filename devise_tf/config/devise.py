"""Settings of phase 3: DeViSE, and the models that it is compared with."""

import dataclasses
from typing import Any, NamedTuple, Self

from devise_tf.choices import LABEL_TERMS, LOSSES, MARGIN, PROFILE_TEMPERATURE, RIDGE, TEMPERATURE
from devise_tf.config.recipes import RECIPES
from devise_tf.config.setting import SettingsGroup, setting

# What makes the label vectors those of the paper.
_PAPER_LABEL_VECTORS: dict[str, Any] = {
    "label_terms": "first",
    "label_profiles": False,
    "softmax_weight": 0.0,
    "train_label_vectors": False,
}
_RATE_FLAGS = ("projection_learning_rate", "finetune_projection_learning_rate", "finetune_cnn_learning_rate")


class DeviseRates(NamedTuple):
    """The learning rates of phase 3.

    Attributes:
        projection: Of the projection while the CNN is frozen.
        finetune_projection: Of the projection while the CNN learns too.
        finetune_cnn: Of the CNN.
    """

    projection: float
    finetune_projection: float
    finetune_cnn: float


_DEFAULT_RATES = DeviseRates(0.3, 0.1, 0.01)
# Sums over labels and squared distances have larger gradients than a hinge over one label.
_LOW_RATES, _LOW_RATE_LOSSES = DeviseRates(0.03, 0.01, 0.002), ("sum", "l2")


def _default_rates(rate: str) -> str:
    default, low = getattr(_DEFAULT_RATES, rate), getattr(_LOW_RATES, rate)
    return f"0: the default of the loss, {default} or, for {' and '.join(_LOW_RATE_LOSSES)}, {low}."


@dataclasses.dataclass(frozen=True)
class DeviseSettings(SettingsGroup):
    """DeViSE and the models that it is compared with. Each field's meaning is its help text."""

    margin: float = setting(MARGIN, "Margin of the hinge rank loss, phase 3.")
    devise_loss: str = setting(
        "softmax",
        "Loss of phase 3: softmax over cosines; hinge rank loss over one false label (the paper's), over all, over the "
        "hardest; l2, whose projection is solved.",
        LOSSES,
    )
    temperature: float = setting(TEMPERATURE, "With --devise_loss=softmax: what cosines are divided by.", positive=True)
    label_terms: str = setting(
        "heads",
        "A label's vector: of its first term; the mean of all its terms'; heads: that mean with the terms' last words "
        "added; of a random term at each step.",
        LABEL_TERMS,
    )
    descriptions: str = setting(
        "",
        "Files of lines `id<TAB>term, term<TAB>description`, separated by commas, or imagenet_1k, everyday: labels' "
        "vectors are made of names, descriptions and, with --hierarchy, kinds.",
        later=True,
    )
    label_profiles: bool = setting(
        False, "Label vectors are profiles of similarities to the seen labels' vectors, in place of those of words."
    )
    profile_temperature: float = setting(
        PROFILE_TEMPERATURE, "With --label_profiles: what similarities are divided by.", positive=True
    )
    softmax_weight: float = setting(
        0.0, "With --label_profiles and --finetune_epochs=0: weight of the softmax's probabilities in the embedding."
    )
    devise_batch_size: int = setting(64, "Images a step in phase 3, over all devices.", positive=True)
    projection_epochs: float = setting(4.0, "Passes over the images in phase 3 with the CNN frozen.", positive=True)
    ridge: float = setting(
        RIDGE, "With --devise_loss=l2: penalty on the projection's squares, in mean squares of a feature.", later=True
    )
    projection_learning_rate: float = setting(
        0.0, f"Adagrad's learning rate of the projection, CNN frozen; {_default_rates('projection')}"
    )
    finetune_epochs: float = setting(2.0, "Passes after those with the CNN unfrozen; 0 for none.")
    finetune_projection_learning_rate: float = setting(
        0.0, f"The projection's learning rate with the CNN unfrozen; {_default_rates('finetune_projection')}"
    )
    finetune_cnn_learning_rate: float = setting(
        0.0, f"Adagrad's learning rate of the CNN in phase 3; {_default_rates('finetune_cnn')}"
    )
    train_label_vectors: bool = setting(
        False, "Train the label vectors too while the CNN is unfrozen, with the skip-gram loss beside (needs --corpus)."
    )
    text_weight: float = setting(1.0, "With --train_label_vectors: weight of the skip-gram loss.")
    text_learning_rate: float = setting(0.01, "With --train_label_vectors: learning rate of the vectors.")
    random_models: int = setting(1, "Random-embedding models to train for comparison, each with its own seed.")
    compare: str = setting(
        "", f"Further recipes of phase 3 to train for comparison, separated by commas: {', '.join(RECIPES)}."
    )

    def check(self) -> None:
        super().check()
        if self.train_label_vectors and not self.finetune_epochs:
            raise ValueError("`train_label_vectors` needs `finetune_epochs` above 0. Received: finetune_epochs=0")
        if self.train_label_vectors and (self.label_terms != "first" or self.label_profiles or self.descriptions):
            raise ValueError(
                "`train_label_vectors` trains vectors of first terms (--label_terms=first), neither profiles nor those "
                f"of described labels. Received: label_terms={self.label_terms!r}, "
                f"label_profiles={self.label_profiles}, descriptions={self.descriptions!r}"
            )
        if self.softmax_weight and (self.finetune_epochs or not self.label_profiles):
            raise ValueError(
                "`softmax_weight` needs `label_profiles`, and `finetune_epochs=0`: the softmax is that of the CNN as "
                f"phase 2 left it. Received: softmax_weight={self.softmax_weight}, "
                f"label_profiles={self.label_profiles}, finetune_epochs={self.finetune_epochs}"
            )
        unknown = [name for name in self.compared() if name not in RECIPES]
        if unknown:
            raise ValueError(f"`compare` must name some of {sorted(RECIPES)}. Received: {unknown}")

    def compared(self) -> list[str]:
        """The names of the recipes to compare with."""
        return [name.strip() for name in self.compare.split(",") if name.strip()]

    def recipe(self, name: str) -> Self:
        """This run's settings with those of a recipe, and the learning rates that go with its loss."""
        changes: dict[str, Any] = {**dict.fromkeys(_RATE_FLAGS, 0.0), **_PAPER_LABEL_VECTORS, **RECIPES[name]}
        return dataclasses.replace(self, **changes)

    def without_words(self) -> Self:
        """This run's settings for label vectors that are not made of terms."""
        return dataclasses.replace(self, **_PAPER_LABEL_VECTORS, descriptions="")

    def devise_rates(self) -> DeviseRates:
        """The learning rates of phase 3, those of the loss where none is set."""
        defaults = _LOW_RATES if self.devise_loss in _LOW_RATE_LOSSES else _DEFAULT_RATES
        return DeviseRates(*(getattr(self, name) or rate for name, rate in zip(_RATE_FLAGS, defaults, strict=True)))
