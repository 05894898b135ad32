"""What models come from, for those who use them: evaluation, export, prediction."""

import abc
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import keras
import numpy as np

from devise_tf.choices import MISSING_LABELS_OF_ANSWERS
from devise_tf.images import Crop
from devise_tf.labels import (
    Hierarchy,
    LabelSet,
    LabelSpace,
    OutputSpace,
    Penalty,
    RandomSpace,
    SimilarityProfile,
    WordSpace,
)
from devise_tf.models.conse import ConSE
from devise_tf.models.devise import DeViSE, SpaceRecipe
from devise_tf.models.devise.space_recipe import NO_TERMS
from devise_tf.models.label_model import Classifier, LabelModel
from devise_tf.models.model_names import (
    CONSE,
    CONSE_PROFILES,
    PROFILES,
    RANDOM,
    SOFTMAX,
    compared,
    conse_name,
    kind,
    nameable,
    number_in,
    random_seed,
)
from devise_tf.text.joined_vectors import load_joined_vectors
from devise_tf.text.tokenizer import WORDS, Tokenizer

# The most probable labels that ConSE averages.
CONSE_TOP = 10


class ModelSource(abc.ABC):
    """What models come from, read only.

    Attributes:
        directory: str. Absolute path of the directory that reports on the models are written to.
        flags: Dict of str. The flags of the training, as far as they are known.
        labels: LabelSet. The labels, seen ones first.
        seen: List of str. Ids of the labels that were trained: the softmax's outputs, in order.
        unseen: List of str. Ids of the labels that were held out.
        default_model: str. The model that answers where none is named.
    """

    directory: str
    flags: dict[str, str]
    labels: LabelSet
    seen: list[str]
    unseen: list[str]
    default_model: str

    def __init__(self) -> None:
        self._read: dict[tuple, tuple[list[str], np.ndarray]] = {}
        self._networks: dict[str, keras.Model] = {}

    @property
    @abc.abstractmethod
    def missing_labels(self) -> str:
        """What training did about labels without a vector."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The rule by which text became words."""
        return WORDS

    def described(self, model: str) -> frozenset[str]:
        """The terms whose vectors are those of described labels, in a model's space."""
        return frozenset()

    @property
    def penalties(self) -> Mapping[str, float]:
        """The penalties on trained labels by model; models that are not named have none."""
        return {}

    @property
    @abc.abstractmethod
    def label_terms(self) -> str:
        """What ConSE's label vectors are made of, `label_terms` of `WordSpace`: the same as the default model's."""

    @property
    @abc.abstractmethod
    def seed(self) -> int:
        """The seed of the training."""

    @property
    @abc.abstractmethod
    def crop(self) -> Crop:
        """How images are cropped."""

    @abc.abstractmethod
    def networks(self) -> list[str]:
        """The names of the trained networks: `"softmax"`, then those of phase 3."""

    @abc.abstractmethod
    def hierarchy(self) -> Hierarchy | None:
        """The hierarchy of the labels, if there is one."""

    @abc.abstractmethod
    def _load_network(self, name: str) -> keras.Model:
        """Loads a network of `networks`."""

    @abc.abstractmethod
    def _vector_files(self, model: str) -> list[str]:
        """The files of the term vectors of a model's space."""

    # Models

    def models(self) -> list[str]:
        """The names of the models that answer with any labels: all but those with random label vectors."""
        return nameable(self._all_models())

    def compared(
        self, conse_tops: Sequence[int | None] = (CONSE_TOP,), only: Collection[str] | None = None
    ) -> list[tuple[str, str]]:
        """The rows that an evaluation has and the models that they show; see `model_names.compared`."""
        return compared(self._all_models(), conse_tops, only)

    def _all_models(self) -> list[str]:
        networks = self.networks()
        return [*networks, CONSE] if SOFTMAX in networks else networks

    def network(self, name: str) -> keras.Model:
        """Loads a trained network, once: `"softmax"`, `"devise"` or another one of `networks`."""
        if name not in self._networks:
            self._networks[name] = self._load_network(name)
        return self._networks[name]

    def answering(self, name: str | None = None, penalty: float | None = None) -> LabelModel:
        """Loads one of `models`; the default one if none is named.

        Args:
            name: str or None. The model's name.
            penalty: float or None. In place of the model's own penalty on trained labels.

        Raises:
            ValueError: There is no such model, or no such penalty.
        """
        if name and name not in self.models():
            raise ValueError(f"`model` must be one of {self.models()}. Received: model={name!r}")
        return self.model(name or self.default_model, penalty)

    def model(self, name: str, penalty: float | None = None) -> LabelModel:
        """Loads a model that answers with labels: one of `models`, one with random label vectors, or another ConSE."""
        kinds = {SOFTMAX: self._softmax_model, CONSE: self._conse_model, RANDOM: self._random_model}
        amount = self.penalties.get(name, 0.0) if penalty is None else penalty
        on_trained = Penalty(amount, self.labels.select(self.seen))
        return kinds.get(kind(name), self._word_model)(name, on_trained if amount else None)

    def _softmax_model(self, name: str, penalty: Penalty | None) -> LabelModel:
        if penalty is not None:
            raise ValueError(
                "A softmax knows no labels but the trained ones: leave `penalty` out. "
                f"Received: penalty={penalty.amount}, model={name!r}"
            )
        trained = self.labels.select(self.seen)

        def outputs(labels: LabelSet | None = None, missing: str = "") -> LabelSpace:
            return OutputSpace.of(trained, missing or "stop", self.tokenizer)

        return Classifier(name, self.network(name), outputs, trained)

    def _conse_model(self, name: str, penalty: Penalty | None) -> LabelModel:
        classifier = self.network(SOFTMAX)
        if name == CONSE_PROFILES:
            # Each trained label with a vector is a dimension: the embedding is the probabilities, of unit norm.
            dimensions = np.eye(len(self.seen))[:, self._trained_vectors().any(axis=1)]
            profiles = self.model(PROFILES, penalty.amount if penalty else 0)
            return LabelModel(name, ConSE(classifier, dimensions, None), profiles.open_space, self.labels)
        top = None if name == conse_name(None) else number_in(name) or CONSE_TOP
        words = partial(self.word_space, CONSE, label_terms=self.label_terms, penalty=penalty)
        return LabelModel(name, self.conse(classifier, top), words, self.labels)

    def _word_model(self, name: str, penalty: Penalty | None) -> LabelModel:
        network = self.network(name)
        label_terms, profile = label_recipe(network)
        words = partial(self.word_space, name, label_terms=label_terms, profile=profile, penalty=penalty)
        return LabelModel(name, network, words, self.labels)

    def _random_model(self, name: str, penalty: Penalty | None) -> LabelModel:
        seed = random_seed(self.seed, number_in(name) or 0)

        def random(labels: LabelSet | None = None, missing: str = "") -> LabelSpace:
            return RandomSpace(self.word_space(name, labels, missing, penalty=penalty), seed)

        return LabelModel(name, self.network(name), random, self.labels)

    def conse(self, classifier: keras.Model, top: int | None = CONSE_TOP) -> ConSE:
        """ConSE of the softmax network, of at most all its labels; those without a vector are passed over."""
        return ConSE(classifier, self._trained_vectors(), min(top, len(self.seen)) if top else None)

    def _trained_vectors(self) -> np.ndarray:
        """The vectors of the softmax's labels, float `[N, D]`, zero for labels without one."""
        trained = self.labels.select(self.seen)
        space = self.word_space(CONSE, trained, MISSING_LABELS_OF_ANSWERS, self.label_terms)
        table = space.table(trained)
        vectors = np.zeros((len(trained), table.values.shape[1]))
        vectors[[bool(rows) for rows in table.entries]] = table.values
        return vectors

    # Labels

    def word_space(
        self,
        model: str = CONSE,
        labels: LabelSet | None = None,
        missing: str = "",
        label_terms: str = "first",
        profile: SimilarityProfile | None = None,
        penalty: Penalty | None = None,
    ) -> WordSpace:
        """What labels are to a model whose label vectors are made of terms; by default the plain space of words.

        Args:
            model: str. The model's name.
            labels: LabelSet or None. Labels whose terms alone are read.
            missing: str. See `WordSpace`; by default what training did.
            label_terms: str. See `WordSpace`.
            profile: SimilarityProfile or None. See `WordSpace`.
            penalty: Penalty or None. See `WordSpace`.
        """
        terms, vectors = self.term_vectors(model, labels)
        missing = missing or self.missing_labels
        return WordSpace(terms, vectors, label_terms, profile, missing, self.tokenizer, self.described(model), penalty)

    def term_vectors(self, model: str, labels: LabelSet | None = None) -> tuple[list[str], np.ndarray]:
        """The terms and vectors of a model's space; with `labels` those that their vectors may be made of only."""
        paths = self._vector_files(model)
        if labels is None:
            return load_joined_vectors(paths, None)
        # Every model of a run asks for the same few of a large file.
        terms = labels.term_filter(self.tokenizer)
        key = *paths, terms
        if key not in self._read:
            self._read[key] = load_joined_vectors(paths, terms)
        return self._read[key]


def label_recipe(network: keras.Model | None) -> tuple[str, SimilarityProfile | None]:
    """What a model's label vectors are made of, `label_terms` and `profile` of `WordSpace`.

    Args:
        network: keras.Model or None. A `DeViSE`; any other, and none, is of the plain space of words.
    """
    recipe = network.space_recipe if isinstance(network, DeViSE) else SpaceRecipe()
    return ("first", None) if recipe.label_terms == NO_TERMS else (recipe.label_terms, recipe.profile)
