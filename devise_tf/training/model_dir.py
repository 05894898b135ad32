"""The directory that holds everything that a run produces."""

import json
import os
from collections.abc import Collection, Mapping

import tensorflow as tf

from devise_tf.files import atomic_write


class ModelDir:
    """All that a run produces, in one directory.

    | entry | what |
    |---|---|
    | `flags.txt` | the resolved flags; another run in the same directory must have the same |
    | `vocabulary.txt`, `corpus.ids`, `vectors.bin` | phase 1: terms and counts, the encoded corpus, the vectors |
    | `labels.txt`, `unseen_labels.txt`, `hierarchy.txt` | labels with terms, held-out ids, parent-child pairs |
    | `NAME/` and `NAME.keras` | a phase's checkpoints, and its model once it is finished |
    | `metrics.jsonl`, `logs/` | metrics by step, also for TensorBoard |
    | `bad_images.log` | images that could not be read |
    | `report/` | `metrics.json` and `tables.md` |

    Args:
        directory: Its path; made if it is not there.
    """

    def __init__(self, directory: str):
        if not directory:
            raise ValueError(f"`model_dir` must name a directory. Received: model_dir={directory!r}")
        self.directory = os.path.abspath(os.path.expanduser(directory))
        os.makedirs(self.directory, exist_ok=True)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def path(self, *names: str) -> str:
        """The path of an entry."""
        return os.path.join(self.directory, *names)

    def has(self, *names: str) -> bool:
        """Whether an entry is there."""
        return os.path.exists(self.path(*names))

    def write_text(self, name: str, text: str) -> None:
        """Writes a text entry atomically."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with atomic_write(self.path(name)) as file:
            file.write(text.encode("utf-8"))

    def check_flags(self, flags: Mapping[str, object], free: Collection[str] = ()) -> None:
        """Writes `flags.txt`, or holds the flags against the one that is there.

        Args:
            flags: The resolved flags, by name.
            free: Names of flags that do not shape the result, so that they may differ.

        Raises:
            ValueError: The directory belongs to a run with other flags; the differences are named.
        """
        lines = {name: f"--{name}={'' if value is None else value}" for name, value in sorted(flags.items())}
        if self.has("flags.txt"):
            with open(self.path("flags.txt"), encoding="utf-8") as file:
                old = {line.split("=", 1)[0][2:]: line.rstrip("\n") for line in file if line.startswith("--")}
            different = [name for name in sorted({*old, *lines} - {*free}) if old.get(name) != lines.get(name)]
            if different:
                listed = "; ".join(
                    f"{old.get(n, '--' + n + ' not set')} (now {lines.get(n, 'not set')})" for n in different
                )
                raise ValueError(
                    f"{self.directory} holds a run with other flags: {listed}. Repeat that run's flags to resume it "
                    "(--flagfile=MODEL_DIR/flags.txt), or choose another --model_dir. "
                    f"Received: model_dir={self.directory!r}"
                )
            return
        self.write_text("flags.txt", "".join(line + "\n" for line in lines.values()))

    def log_metrics(self, phase: str, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        """Adds a line to `metrics.jsonl` and the same figures to the TensorBoard logs."""
        with open(self.path("metrics.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps({"phase": phase, "step": step, "epoch": round(epoch, 4), **metrics}) + "\n")
        if phase not in self._writers:
            self._writers[phase] = tf.summary.create_file_writer(self.path("logs", phase))
        with self._writers[phase].as_default():
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=step)
        self._writers[phase].flush()

    def forget_metrics(self, phase: str, after_step: int) -> None:
        """Drops the lines of a phase that a resumed run will write again, and a line that a kill left half-written."""
        if not self.has("metrics.jsonl"):
            return
        kept = []
        with open(self.path("metrics.jsonl"), encoding="utf-8") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue
                if entry["phase"] != phase or entry["step"] <= after_step:
                    kept.append(line)
        self.write_text("metrics.jsonl", "".join(kept))
