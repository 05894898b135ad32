"""Where models come from: the directory of a run, or a preset."""

import functools
import os
from collections.abc import Mapping

import keras

from devise_tf.images import Crop
from devise_tf.labels import Hierarchy, LabelSet
from devise_tf.model_dir import CNN, Entry, ModelDir
from devise_tf.models.devise import DeViSE, SoftmaxFusion
from devise_tf.models.model_names import CONSE, SOFTMAX, kind
from devise_tf.models.model_source import ModelSource, label_recipe
from devise_tf.models.pretrained import Preset, load_preset
from devise_tf.models.registry import build_visual_model, load_network
from devise_tf.models.weights_file import load_weights
from devise_tf.packaged import packaged_files
from devise_tf.text.tokenizer import WORDS, Tokenizer
from devise_tf.text.vector_file import load_terms

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
    def label_terms(self) -> str:
        has_default = self.default_model in self.networks()
        return label_recipe(self.network(self.default_model) if has_default else None)[0]

    @property
    def seed(self) -> int:
        return self.files.config.seed

    @property
    def tokenizer(self) -> Tokenizer:
        return self.files.tokenizer or WORDS

    @property
    def penalties(self) -> Mapping[str, float]:
        return self.files.penalties()

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
        return load_network(path, self.flags.get("visual_model", ""))

    def described(self, model: str) -> frozenset[str]:
        if not self.files.has(Entry.DESCRIBED):
            return frozenset()
        if kind(model) != CONSE and not self.network(model).space_recipe.described:
            return frozenset()
        return self._described_terms

    @functools.cached_property
    def _described_terms(self) -> frozenset[str]:
        return frozenset(load_terms(self.files.path(Entry.DESCRIBED)))

    def _vector_files(self, model: str) -> list[str]:
        if self.described(model):
            return [self.files.path(Entry.DESCRIBED), self.files.needed(Entry.VECTORS)]
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

    def described(self, model: str) -> frozenset[str]:
        return self._described_terms

    @property
    def penalties(self) -> Mapping[str, float]:
        return self.preset.penalties

    @functools.cached_property
    def _described_terms(self) -> frozenset[str]:
        return self.preset.described_terms()

    @property
    def label_terms(self) -> str:
        return self.preset.label_terms(self.default_model)

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
        fused = name in self.preset.heads(fused=True)
        return (SoftmaxFusion if fused else DeViSE).of_preset(self.preset, name, softmax)

    def _vector_files(self, model: str) -> list[str]:
        return self.preset.vector_files()


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
