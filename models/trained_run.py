"""What a run left in its model directory, for those who use it: evaluation, export, prediction."""

import glob
import os

import keras
import numpy as np

from devise_tf.data import LabelSet, LabelVectors, load_ids, make_label_vectors, random_label_vectors
from devise_tf.data.similarity_profile import SimilarityProfile
from devise_tf.models import devise, visual  # noqa: F401 (Keras finds their classes by name)
from devise_tf.models.conse import ConSE
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

    Raises:
        ValueError: `directory` is not a model directory, or lacks what is asked for; it is named.
    """

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
        self._read: dict[tuple[str, frozenset], tuple[list[str], np.ndarray]] = {}
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

    def term_vectors(self, model: str, labels: LabelSet | None = None) -> tuple[list[str], np.ndarray]:
        """The terms and vectors of a model's space; with `labels` those that their vectors may be made of only."""
        trained = model == "devise" and self.has("trained_vectors.bin")
        path = self.path("trained_vectors.bin") if trained else self.needed("vectors.bin", "skip_gram")
        if labels is None:
            return load_vectors(path)
        # Every model of a run asks for the same few of a large file.
        asked = path, frozenset(labels.names())
        if asked not in self._read:
            self._read[asked] = load_vectors(path, terms=labels.names())
        return self._read[asked]

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
        if network is None or network.label_terms == "none":
            return make_label_vectors(labels, terms, vectors, missing)
        profile = None
        if network.profile_references is not None:
            profile = SimilarityProfile(np.asarray(network.profile_references), network.profile_temperature)
        return make_label_vectors(labels, terms, vectors, missing, network.label_terms, profile)

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


def random_seed(run_seed: int, number: int) -> int:
    """The seed of the label vectors of a run's random-embedding model."""
    return 1000 * (run_seed + 1) + number
