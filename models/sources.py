"""Where models come from, for those who use them: the directory of a run, or a preset."""

import abc
import os
from collections.abc import Collection, Sequence
from functools import partial

import keras
import numpy as np

from devise_tf.images import Crop
from devise_tf.labels import Hierarchy, LabelSet, LabelSpace, OutputSpace, RandomSpace, SimilarityProfile, WordSpace
from devise_tf.model_dir import CNN, Entry, ModelDir
from devise_tf.models.conse import ConSE
from devise_tf.models.devise import DeViSE, SpaceRecipe, fuse_softmax
from devise_tf.models.devise.closed_form import closed_form_projection
from devise_tf.models.devise.space_recipe import NO_TERMS
from devise_tf.models.label_model import Classifier, LabelModel
from devise_tf.models.model_names import (
    CONSE,
    RANDOM,
    SOFTMAX,
    compared,
    conse_name,
    kind,
    nameable,
    number_in,
    random_seed,
)
from devise_tf.models.presets import Preset, load_preset
from devise_tf.models.visual import build_visual_model, representation_model
from devise_tf.models.weights_file import load_weights
from devise_tf.packaged import packaged_files
from devise_tf.text import load_vectors

# The most probable labels that ConSE averages.
CONSE_TOP = 10


class ModelSource(abc.ABC):
    """What models come from, read only.

    Attributes:
        directory: str. Absolute path of the directory that reports on the models are written to.
        labels: LabelSet. The labels, seen ones first.
        seen: List of str. Ids of the labels that were trained: the softmax's outputs, in order.
        unseen: List of str. Ids of the labels that were held out.
        default_model: str. The model that answers where none is named.
        missing_labels: str. What training did about labels without a vector.
        seed: int. The seed of the training.
    """

    directory: str
    labels: LabelSet
    seen: list[str]
    unseen: list[str]
    default_model: str
    missing_labels: str
    seed: int

    def __init__(self):
        self._read: dict[tuple, tuple[list[str], np.ndarray]] = {}
        self._networks: dict[str, keras.Model] = {}

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

    def answering(self, name: str | None = None) -> LabelModel:
        """Loads one of `models`; the default one if none is named.

        Raises:
            ValueError: There is no such model.
        """
        if name and name not in self.models():
            raise ValueError(f"`model` must be one of {self.models()}. Received: model={name!r}")
        return self.model(name or self.default_model)

    def model(self, name: str) -> LabelModel:
        """Loads a model that answers with labels: one of `models`, one with random label vectors, or another ConSE."""
        kinds = {SOFTMAX: self._softmax_model, CONSE: self._conse_model, RANDOM: self._random_model}
        return kinds.get(kind(name), self._word_model)(name)

    def _softmax_model(self, name: str) -> LabelModel:
        trained = self.labels.select(self.seen)

        def outputs(labels: LabelSet | None = None, missing: str = "") -> LabelSpace:
            return OutputSpace.of(trained, missing or "stop")

        return Classifier(name, self.network(name), outputs, trained)

    def _conse_model(self, name: str) -> LabelModel:
        top = None if name == conse_name(None) else number_in(name) or CONSE_TOP
        network = self.conse(self.network(SOFTMAX), top)
        return LabelModel(name, network, partial(self.word_space, CONSE), self.labels)

    def _word_model(self, name: str) -> LabelModel:
        network = self.network(name)
        label_terms, profile = label_recipe(network)
        words = partial(self.word_space, name, label_terms=label_terms, profile=profile)
        return LabelModel(name, network, words, self.labels)

    def _random_model(self, name: str) -> LabelModel:
        seed = random_seed(self.seed, number_in(name) or 0)

        def random(labels: LabelSet | None = None, missing: str = "") -> LabelSpace:
            return RandomSpace(self.word_space(name, labels, missing), seed)

        return LabelModel(name, self.network(name), random, self.labels)

    def conse(self, classifier: keras.Model, top: int | None = CONSE_TOP) -> ConSE:
        """ConSE of the softmax network, of at most all its labels; those without a vector are passed over."""
        trained = self.labels.select(self.seen)
        table = self.word_space(CONSE, trained, "drop").table(trained)
        vectors = np.zeros((len(trained), table.values.shape[1]))
        vectors[[bool(rows) for rows in table.entries]] = table.values
        return ConSE(classifier, vectors, min(top, len(trained)) if top else None)

    # Labels

    def word_space(
        self,
        model: str = CONSE,
        labels: LabelSet | None = None,
        missing: str = "",
        label_terms: str = "first",
        profile: SimilarityProfile | None = None,
    ) -> WordSpace:
        """What labels are to a model whose label vectors are made of terms; by default the plain space of words.

        Args:
            model: str. The model's name.
            labels: LabelSet or None. Labels whose terms alone are read.
            missing: str. See `WordSpace`; by default what training did.
            label_terms: str. See `WordSpace`.
            profile: SimilarityProfile or None. See `WordSpace`.
        """
        return WordSpace(*self.term_vectors(model, labels), label_terms, profile, missing or self.missing_labels)

    def term_vectors(self, model: str, labels: LabelSet | None = None) -> tuple[list[str], np.ndarray]:
        """The terms and vectors of a model's space; with `labels` those that their vectors may be made of only."""
        paths = self._vector_files(model)
        if labels is None:
            return _load_vectors(paths, None)
        # Every model of a run asks for the same few of a large file.
        key = *paths, frozenset(labels.names())
        if key not in self._read:
            self._read[key] = _load_vectors(paths, labels.names())
        return self._read[key]


# The network of phase 2 has another name in its directory.
_FILES = {SOFTMAX: CNN}
_NAMES = {CNN: SOFTMAX}


class TrainedRun(ModelSource):
    """The directory of a run.

    Args:
        directory: str. Its path.

    Attributes:
        files: ModelDir. The directory.

    Raises:
        ValueError: `directory` is not the directory of a run, or lacks what is asked for; it is named.
    """

    default_model = "devise"

    def __init__(self, directory: str):
        super().__init__()
        self.files = ModelDir(directory)
        self.flags = self.files.flags
        self.directory = self.files.directory
        self.labels, self.unseen = self.files.labels(), self.files.unseen()
        held_out = set(self.unseen)
        self.seen = [label for label in self.labels.ids if label not in held_out]

    @property
    def missing_labels(self) -> str:
        return self.files.config.missing_labels

    @property
    def seed(self) -> int:
        return self.files.config.seed

    @property
    def crop(self) -> Crop:
        for name in ("image_size", "resize_size"):
            if name not in self.flags:
                raise ValueError(f"{self.files.path(Entry.FLAGS)} must have --{name}. Received: --{name}=")
        return Crop(self.files.config.image_size, self.files.config.resize_size)

    def networks(self) -> list[str]:
        names = [_NAMES.get(name, name) for name in self.files.models()]
        return sorted(names, key=lambda name: name != SOFTMAX)

    def hierarchy(self) -> Hierarchy | None:
        return self.files.hierarchy()

    def _load_network(self, name: str) -> keras.Model:
        path = self.files.needed(self.files.model_file(_FILES.get(name, name)))
        return keras.models.load_model(path, compile=False)

    def _vector_files(self, model: str) -> list[str]:
        if model == self.default_model and self.files.has(Entry.TRAINED_VECTORS):
            return [self.files.path(Entry.TRAINED_VECTORS)]
        return [self.files.needed(Entry.VECTORS)]


class PretrainedRun(ModelSource):
    """A preset. Its DeViSE models share the layers of its softmax network.

    Args:
        preset: Preset. What its file says.

    Attributes:
        preset: Preset. As given.
        directory: str. Where reports on it go if nothing else is said: a folder of its name in the working directory.
    """

    missing_labels = "compose"
    seed = 0

    def __init__(self, preset: Preset):
        super().__init__()
        self.preset, self.default_model = preset, preset.model
        self.directory = os.path.abspath(preset.name)
        self.flags = {"preset": preset.path, "missing_labels": self.missing_labels}
        self.labels = LabelSet.load(preset.file(preset.labels))
        self.seen, self.unseen = list(self.labels.ids), []

    @property
    def crop(self) -> Crop:
        return Crop(self.preset.image_size, self.preset.resize_size)

    def networks(self) -> list[str]:
        return list(self.preset.networks)

    def hierarchy(self) -> Hierarchy | None:
        """The preset's hierarchy, whole: labels that it never had may be measured by it, too."""
        source = self.preset.hierarchy_source()
        return Hierarchy.open(source) if source else None

    def _load_network(self, name: str) -> keras.Model:
        if name not in self.preset.networks:
            raise ValueError(f"{self.preset.name} has the models {self.preset.models()}. Received: {name!r}")
        part = self.preset.networks[name]
        if name == SOFTMAX:
            built = build_visual_model(part["visual_model"], len(self.seen), self.preset.image_size)
            load_weights(built, self.preset.file(part["weights"]), part["sha256"])
            return built
        softmax = self.network(SOFTMAX)
        settings = part["settings"]
        space = self.word_space(name, self.labels, label_terms=settings.get("label_terms", "first"))
        if "profile_temperature" in settings:
            space = space.with_profile(self.labels, settings["profile_temperature"])
        vectors = space.table(self.labels).values
        recipe = SpaceRecipe(space.label_terms, space.profile)
        model = DeViSE(representation_model(softmax), vectors, space_recipe=recipe, name=name)
        kernel = softmax.get_layer("logits").kernel
        model.projection.set_weights([closed_form_projection(kernel, vectors, part["ridge"])])
        weight = settings.get("softmax_weight", 0.0)
        return fuse_softmax(model, softmax, weight) if weight else model

    def _vector_files(self, model: str) -> list[str]:
        return self.preset.vector_files()


def label_recipe(network: keras.Model) -> tuple[str, SimilarityProfile | None]:
    """What a model's label vectors are made of, `label_terms` and `profile` of `WordSpace`.

    Args:
        network: keras.Model. A `DeViSE`; any other is of the plain space of words.
    """
    recipe = network.space_recipe if isinstance(network, DeViSE) else SpaceRecipe()
    return ("first", None) if recipe.label_terms == NO_TERMS else (recipe.label_terms, recipe.profile)


def open_run(name: str) -> ModelSource:
    """Opens a model directory, or a preset.

    Args:
        name: str. The path of a model directory, the name of a preset, or the path of a preset's file (`.json`). Where
            both a model directory and a preset have the name, the directory is opened; a folder that is no model
            directory, such as that of the reports on the preset, does not hide it.

    Raises:
        ValueError: There is neither.
    """
    is_folder = bool(name) and os.path.isdir(os.path.expanduser(name))
    if is_folder and (ModelDir(name).is_run or name not in packaged_files("preset")):
        return TrainedRun(name)
    return PretrainedRun(load_preset(name))


def _load_vectors(paths: list[str], names: Collection[str] | None) -> tuple[list[str], np.ndarray]:
    """Of one file, or of several of one space; of a term in several of them the first one's vector."""
    terms, vectors = load_vectors(paths[0], terms=names)
    for path in paths[1:]:
        others, rows = load_vectors(path, terms=names)
        if rows.shape[1] != vectors.shape[1]:
            raise ValueError(
                "Vector files that are used together must be of one space, and so of one dimension. Received: "
                f"{vectors.shape[1]} in {paths[0]!r}, {rows.shape[1]} in {path!r}"
            )
        known = set(terms)
        new = [row for row, term in enumerate(others) if term not in known]
        terms, vectors = [*terms, *(others[row] for row in new)], np.concatenate([vectors, rows[new]])
    return terms, vectors
