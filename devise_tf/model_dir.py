"""The directory that holds everything that a run produces: nothing else knows what lies where in it."""

import enum
import functools
import glob
import json
import os
from collections.abc import Collection, Mapping

from devise_tf.config import OLD_NAMES, Settings
from devise_tf.files import atomic_write
from devise_tf.labels import Hierarchy, LabelSet, load_ids
from devise_tf.labels.penalty import is_amount
from devise_tf.text.earlier_tokenizer import UNNORMALIZED_WORDS
from devise_tf.text.tokenizer import Tokenizer
from devise_tf.text.vector_tokenizer import load_tokenizer


class Entry(enum.StrEnum):
    """Names of what lies in a run's directory, models and their checkpoints aside."""

    FLAGS = "flags.txt"  # the resolved flags
    VOCABULARY = "vocabulary.txt"  # terms and counts
    CORPUS = "corpus.ids"  # the encoded corpus
    VECTORS = "vectors.bin"  # the term vectors of phase 1
    TRAINED_VECTORS = "trained_vectors.bin"  # those that phase 3 trained further
    DESCRIBED = "described.npz"  # vectors of described labels, in the same space
    LABELS = "labels.txt"  # labels with terms, seen ones first
    UNSEEN_LABELS = "unseen_labels.txt"  # ids of the labels that were held out
    HIERARCHY = "hierarchy.txt"  # parent-child pairs
    PENALTIES = "penalties.json"  # penalties on trained labels by model, of the last evaluation that had some
    METRICS = "metrics.jsonl"  # metrics by step
    LOGS = "logs"  # the same for TensorBoard, a folder a phase
    BAD_IMAGES = "bad_images.log"  # images that could not be read
    REPORT = "report"  # the folder of `ReportFile`s


class ReportFile(enum.StrEnum):
    """Names of what lies in the folder of a report."""

    METRICS = "metrics.json"
    TABLES = "tables.md"
    PAGE = "index.html"


# The phases by the name of their checkpoints' folder, or of their model's file without its ending.
SKIP_GRAM, CNN, DEVISE = "skip_gram", "cnn", "devise"
_MODEL_SUFFIX = ".keras"
# The phase that makes an entry; models other than the CNN's are of phase 3.
_MADE_BY = {Entry.VECTORS: SKIP_GRAM, SKIP_GRAM: SKIP_GRAM, Entry.LABELS: CNN, CNN + _MODEL_SUFFIX: CNN}


class ModelDir:
    """A run's directory, for those who write it and those who read it.

    Beside the entries of `Entry` it holds, for each phase that trains a model, a folder `NAME` of checkpoints and, once
    it is finished, `NAME.keras`.

    Args:
        directory: String. Its path, which need not exist yet.

    Attributes:
        directory: String. Its absolute path.

    Raises:
        ValueError: `directory` is empty.
    """

    def __init__(self, directory: str):
        if not directory:
            raise ValueError(f"`model_dir` must name a directory. Received: model_dir={directory!r}")
        self.directory = os.path.abspath(os.path.expanduser(directory))

    def path(self, *names: str) -> str:
        """The path of an entry."""
        return os.path.join(self.directory, *names)

    def has(self, *names: str) -> bool:
        """Whether an entry exists."""
        return os.path.exists(self.path(*names))

    def needed(self, name: str) -> str:
        """The path of an entry that a phase makes.

        Raises:
            ValueError: The entry is missing; the message names the phase to run.
        """
        if not self.has(name):
            raise ValueError(
                f"{self.path(name)} is missing: run --phase={_MADE_BY.get(name, DEVISE)} in that directory first. "
                f"Received: model_dir={self.directory!r}"
            )
        return self.path(name)

    def write_text(self, name: str, text: str) -> None:
        """Writes a text entry atomically."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with atomic_write(self.path(name)) as file:
            file.write(text.encode("utf-8"))

    # Models

    @staticmethod
    def model_file(name: str) -> str:
        """The name of a model's file, from that of the model: `"cnn"`, `"devise"`, ..."""
        return name + _MODEL_SUFFIX

    @staticmethod
    def projection_name(name: str) -> str:
        """The name of a model of phase 3 as it is before the CNN learns too."""
        return f"{name}_projection"

    def models(self) -> list[str]:
        """The names of the finished models, in alphabetical order."""
        paths = glob.glob(f"*{_MODEL_SUFFIX}", root_dir=self.directory)
        return sorted(path.removesuffix(_MODEL_SUFFIX) for path in paths)

    # Flags

    @property
    def is_run(self) -> bool:
        """Whether the directory is that of a run."""
        return os.path.isfile(self.path(Entry.FLAGS))

    @functools.cached_property
    def flags(self) -> dict[str, str]:
        """The flags that the run was made with, as its file has them, by the names that they have now.

        Raises:
            ValueError: The directory is not that of a run.
        """
        if not self.is_run:
            raise ValueError(
                "`model_dir` must be the directory of a run (python -m devise_tf.train --model_dir=…). "
                f"Received: model_dir={self.directory!r}"
            )
        with open(self.path(Entry.FLAGS), encoding="utf-8") as file:
            pairs = (line.rstrip("\n").partition("=") for line in file if line.startswith("--"))
            return {OLD_NAMES.get(name[2:], name[2:]): value for name, _, value in pairs}

    @functools.cached_property
    def config(self) -> Settings:
        """The settings that the run was made with; those that its file does not have are at their defaults."""
        try:
            return Settings.from_flags({**self.flags, "model_dir": self.directory})
        except ValueError as error:
            raise ValueError(f"{self.path(Entry.FLAGS)}: {error}") from error

    def bind_flags(self, flags: Mapping[str, object], free: Collection[str] = ()) -> None:
        """Writes the flags, or compares them with those that the directory has.

        Args:
            flags: The resolved flags, by name.
            free: Names of flags that do not shape the result, so that they may differ.

        Raises:
            ValueError: The directory belongs to a run with other flags; the differences are named.
        """
        values = {name: "" if value is None else str(value) for name, value in sorted(flags.items())}
        if not self.is_run:
            self.write_text(Entry.FLAGS, "".join(f"--{name}={value}\n" for name, value in values.items()))
            return
        old = self.flags
        different = [name for name in sorted({*old, *values} - {*free}) if old.get(name) != values.get(name)]
        if different:
            listed = "; ".join(
                f"{_flag(old, name) or f'--{name} not set'} (now {_flag(values, name) or 'not set'})"
                for name in different
            )
            raise ValueError(
                f"{self.directory} holds a run with other flags: {listed}. Repeat that run's flags to resume it "
                "(--flagfile=MODEL_DIR/flags.txt), or choose another --model_dir. "
                f"Received: model_dir={self.directory!r}"
            )

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The rule by which the run's text became words; None before phase 1.

        It lies beside the term vectors, from the beginning of phase 1. Runs of before there were several have none.
        """
        has_text = self.has(Entry.VOCABULARY) or self.has(Entry.VECTORS)
        return load_tokenizer(self.path(Entry.VECTORS), UNNORMALIZED_WORDS if has_text else None)

    # Labels

    def labels(self) -> LabelSet:
        """The run's labels, seen ones first."""
        return LabelSet.load(self.needed(Entry.LABELS))

    def unseen(self) -> list[str]:
        """The ids of the labels that were held out."""
        return load_ids(self.path(Entry.UNSEEN_LABELS)) if self.has(Entry.UNSEEN_LABELS) else []

    def hierarchy(self) -> Hierarchy | None:
        """The hierarchy of the run's labels, if it has one."""
        return Hierarchy.from_file(self.path(Entry.HIERARCHY)) if self.has(Entry.HIERARCHY) else None

    def bind_labels(self, labels: LabelSet, unseen: list[str], hierarchy: Hierarchy | None = None) -> None:
        """Writes the labels, or compares them with those that the directory has; the hierarchy is written anew.

        Raises:
            ValueError: The directory belongs to a run with other labels.
        """
        if self.has(Entry.LABELS):
            if self.labels() != labels or self.unseen() != unseen:
                raise ValueError(
                    f"{self.directory} holds a run with other labels or other unseen labels than the images, "
                    "`labels_file` and `unseen_labels` give now. Restore them to resume it, or choose another "
                    f"--model_dir. Received: model_dir={self.directory!r}"
                )
        else:
            if unseen:
                self.write_text(Entry.UNSEEN_LABELS, "".join(f"{label}\n" for label in unseen))
            labels.save(self.path(Entry.LABELS))  # last: where it exists, the other does, too
        if hierarchy is not None:
            hierarchy.save(self.path(Entry.HIERARCHY))

    # Penalties

    def penalties(self) -> dict[str, float]:
        """The penalties on trained labels by model; empty if no evaluation has written any.

        Raises:
            ValueError: The file holds something else.
        """
        if not self.has(Entry.PENALTIES):
            return {}
        with open(self.path(Entry.PENALTIES), "rb") as file:
            content = file.read()
        try:
            penalties = json.loads(content)
        except (ValueError, RecursionError):
            penalties = None
        if not isinstance(penalties, dict) or not all(map(is_amount, penalties.values())):
            raise ValueError(
                f"{self.path(Entry.PENALTIES)} must hold a finite number, not negative, for each model, such as "
                '{"devise": 0.05}: evaluate the run again as it was evaluated before, or delete the file. '
                f"Received: {content[:200]!r}"
            )
        return penalties

    def write_penalties(self, penalties: Mapping[str, float]) -> None:
        """Writes the penalties on trained labels by model, in place of earlier ones."""
        self.write_text(Entry.PENALTIES, f"{json.dumps(penalties, indent=1)}\n")


def _flag(flags: Mapping[str, str], name: str) -> str:
    return f"--{name}={flags[name]}" if name in flags else ""
