"""What a run left in its model directory, or a preset has, for those who use it: evaluation, export, prediction."""

import glob
import os
from collections.abc import Collection

import keras
import numpy as np

from devise_tf.labels import Hierarchy, LabelSet, LabelVectors, load_ids, make_label_vectors, random_label_vectors
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.models.conse import ConSE
from devise_tf.models.devise import DeViSE, SpaceRecipe, fuse_softmax
from devise_tf.models.devise.closed_form import closed_form_projection
from devise_tf.models.presets import Preset, load_preset
from devise_tf.models.visual import build_visual_model, representation_model
from devise_tf.models.weights_file import load_weights
from devise_tf.packaged import packaged_files
from devise_tf.text import load_vectors

_SOFTMAX = "cnn"


class TrainedRun:
    """A model directory, read only.

    Args:
        directory: Its path.

    Attributes:
        directory: Its absolute path.
        flags: Dict of the flags that it was made with, as strings.
        labels: `LabelSet` of its labels, seen ones first.
        unseen: Ids of the labels that were held out.
        seen: Ids of the others: the softmax's outputs, in order.
        default_model: Name of the model that answers where none is named.

    Raises:
        ValueError: `directory` is not a model directory, or lacks what is asked for; it is named.
    """

    default_model = "devise"

    def __init__(self, directory: str):
        self.directory = os.path.abspath(os.path.expanduser(directory))
        if not os.path.isfile(self.path("flags.txt")):
            raise ValueError(
                "`model_dir` must be the directory of a run (python -m devise_tf.train --model_dir=…). "
                f"Received: model_dir={directory!r}"
            )
        with open(self.path("flags.txt"), encoding="utf-8") as file:
            pairs = (line.rstrip("\n").partition("=") for line in file if line.startswith("--"))
            self.flags = {name[2:]: value for name, _, value in pairs}
        self.labels = LabelSet.load(self.needed("labels.txt", "cnn"))
        self.unseen = load_ids(self.path("unseen_labels.txt")) if self.has("unseen_labels.txt") else []
        self._read: dict[tuple, tuple[list[str], np.ndarray]] = {}
        held_out = set(self.unseen)
        self.seen = [label for label in self.labels.ids if label not in held_out]

    def path(self, name: str) -> str:
        """The path of an entry."""
        return os.path.join(self.directory, name)

    def has(self, name: str) -> bool:
        """Whether an entry is there."""
        return os.path.isfile(self.path(name))

    def needed(self, name: str, phase: str) -> str:
        """The path of an entry that a phase makes."""
        if not self.has(name):
            raise ValueError(
                f"{self.path(name)} is missing: run --phase={phase} in that directory first. "
                f"Received: model_dir={self.directory!r}"
            )
        return self.path(name)

    def size(self, name: str) -> int:
        """A flag that is a number of pixels."""
        if not self.flags.get(name, "").isdecimal():
            raise ValueError(
                f"{self.path('flags.txt')} must have --{name}. Received: --{name}={self.flags.get(name, '')}"
            )
        return int(self.flags[name])

    def networks(self) -> list[str]:
        """The names of the trained models: `"softmax"`, then those of phase 3 in the order of their names."""
        found = sorted(os.path.basename(path)[: -len(".keras")] for path in glob.glob(self.path("*.keras")))
        return (["softmax"] if _SOFTMAX in found else []) + [name for name in found if name != _SOFTMAX]

    def network(self, name: str) -> keras.Model:
        """Loads a trained model: `"softmax"`, the network of phase 2, `"devise"` or another one of `networks`."""
        file, phase = (f"{_SOFTMAX}.keras", "cnn") if name == "softmax" else (f"{name}.keras", "devise")
        return keras.models.load_model(self.needed(file, phase), compile=False)

    def hierarchy(self) -> Hierarchy | None:
        """The hierarchy that the run's labels were measured by, if any."""
        return Hierarchy.from_file(self.path("hierarchy.txt")) if self.has("hierarchy.txt") else None

    def term_vectors(self, model: str, labels: LabelSet | None = None) -> tuple[list[str], np.ndarray]:
        """The terms and vectors of a model's space; with `labels` those that their vectors may be made of only."""
        paths = self._vectors(model)
        if labels is None:
            return self._load_vectors(paths, None)
        # Every model of a run asks for the same few of a large file.
        asked = *paths, frozenset(labels.names())
        if asked not in self._read:
            self._read[asked] = self._load_vectors(paths, labels.names())
        return self._read[asked]

    def _load_vectors(self, paths: list[str], names: Collection[str] | None) -> tuple[list[str], np.ndarray]:
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

    def _vectors(self, model: str) -> list[str]:
        trained = model == "devise" and self.has("trained_vectors.bin")
        return [self.path("trained_vectors.bin") if trained else self.needed("vectors.bin", "skip_gram")]

    def label_vectors(
        self, name: str, network: keras.Model | None, labels: LabelSet, missing: str = ""
    ) -> LabelVectors:
        """The vectors of any labels, as a model's own labels have them.

        Args:
            name: The model's name.
            network: The model; None for the plain space, that of ConSE.
            labels: The labels.
            missing: See `make_label_vectors`; by default what the run did.
        """
        missing = missing or self.flags.get("missing_labels", "compose")
        terms, vectors = self.term_vectors(name, labels)
        return make_label_vectors(labels, terms, vectors, missing, *label_recipe(network))

    def conse(self, classifier: keras.Model, top: int | None = 10) -> ConSE:
        """ConSE of the softmax network, of at most all its labels; those without a vector are passed over."""
        found = self.label_vectors("conse", None, self.labels.select(self.seen), "drop").by_label()
        nothing = np.zeros(len(next(iter(found.values()))))
        table = np.stack([found.get(label, nothing) for label in self.seen])
        return ConSE(classifier, table, min(top, len(self.seen)) if top else None)

    def random_vectors(self, name: str, ids: list[str], dimension: int) -> dict[str, np.ndarray]:
        """The vectors of a model that was trained with random ones, `random_NUMBER`, by label id."""
        seed = random_seed(int(self.flags.get("seed", 0)), int(name.split("_")[1]))
        return dict(zip(ids, random_label_vectors(ids, dimension, seed), strict=True))


def label_recipe(network: keras.Model | None) -> tuple[str, SimilarityProfile | None]:
    """What a model's label vectors are made of, `label_terms` and `profile` of `make_label_vectors`.

    Args:
        network: A `DeViSE`; any other model, or None, is of the plain space of words.
    """
    recipe = network.space_recipe if isinstance(network, DeViSE) else SpaceRecipe()
    return ("first", None) if recipe.label_terms == "none" else (recipe.label_terms, recipe.profile)


class PretrainedRun(TrainedRun):
    """A preset, which has what a model directory has.

    Its DeViSE models share the layers of its softmax network.

    Args:
        preset: The preset.

    Attributes:
        preset: The preset.
        directory: Where reports on it go if nothing else is said: a folder of its name in the working directory.
    """

    def __init__(self, preset: Preset):
        self.preset, self.default_model = preset, preset.model
        self.directory = os.path.abspath(preset.name)
        self.flags = {
            "preset": preset.path,
            "image_size": str(preset.image_size),
            "resize_size": str(preset.resize_size),
            "missing_labels": "compose",
        }
        self.labels = LabelSet.load(preset.file(preset.labels))
        self.seen, self.unseen = list(self.labels.ids), []
        self._read = {}
        self._softmax: keras.Model | None = None

    def has(self, name: str) -> bool:
        return False

    def networks(self) -> list[str]:
        return list(self.preset.networks)

    def network(self, name: str) -> keras.Model:
        if name not in self.preset.networks:
            raise ValueError(f"{self.preset.name} has the models {self.preset.models()}. Received: {name!r}")
        part = self.preset.networks[name]
        if name == "softmax":
            if self._softmax is None:
                built = build_visual_model(part["visual_model"], len(self.seen), self.preset.image_size)
                load_weights(built, self.preset.file(part["weights"]), part["sha256"])
                self._softmax = built
            return self._softmax
        softmax = self.network("softmax")
        settings = dict(part["settings"])
        weight, temperature = settings.pop("softmax_weight", 0.0), settings.pop("profile_temperature", None)
        terms, vectors = self.term_vectors(name, self.labels)
        arguments = (self.labels, terms, vectors, "compose", settings.get("label_terms", "first"))
        found = make_label_vectors(*arguments)
        if temperature is not None:
            found = make_label_vectors(*arguments, SimilarityProfile(found.vectors, temperature))
        recipe = SpaceRecipe(settings.get("label_terms", "first"), found.profile)
        model = DeViSE(representation_model(softmax), found.vectors, space_recipe=recipe, name=name)
        kernel = softmax.get_layer("logits").kernel
        model.projection.set_weights([closed_form_projection(kernel, found.vectors, part["ridge"])])
        return fuse_softmax(model, softmax, weight) if weight else model

    def hierarchy(self) -> Hierarchy | None:
        """The preset's hierarchy, whole: labels that it never had may be measured by it, too."""
        source = self.preset.hierarchy_source()
        return Hierarchy.open(source) if source else None

    def _vectors(self, model: str) -> list[str]:
        return self.preset.vector_files()


def open_run(name: str) -> TrainedRun:
    """Opens a model directory, or a preset.

    Args:
        name: The path of a model directory, the name of a preset, or the path of a preset's file (`.json`). Where both
            a model directory and a preset have the name, the directory is opened; a folder that is no model directory,
            such as that of the reports on the preset, does not hide it.

    Raises:
        ValueError: There is neither.
    """
    directory = os.path.expanduser(name)
    is_run = os.path.isfile(os.path.join(directory, "flags.txt"))
    if is_run or (os.path.isdir(directory) and name not in packaged_files("preset")):
        return TrainedRun(name)
    return PretrainedRun(load_preset(name))


def random_seed(run_seed: int, number: int) -> int:
    """The seed of the label vectors of a run's random-embedding model."""
    return 1000 * (run_seed + 1) + number
