"""The metrics of a phase, by step: a line each in a file, and the same for TensorBoard."""

import functools
import json
import os
from collections.abc import Mapping

import tensorflow as tf

from devise_tf.model_dir import Entry, ModelDir


class MetricsLog:
    """Writes the metrics of one phase into a run's directory.

    Args:
        model_dir: `ModelDir`. The run's directory; it is made if it does not exist.
        phase: String. Name of the phase.
    """

    def __init__(self, model_dir: ModelDir, phase: str):
        self.model_dir, self.phase = model_dir, phase

    @functools.cached_property
    def _writer(self) -> tf.summary.SummaryWriter:
        return tf.summary.create_file_writer(self.model_dir.path(Entry.LOGS, self.phase))

    def write(self, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        """Adds the metrics of a step."""
        line = {"phase": self.phase, "step": step, "epoch": round(epoch, 4), **metrics}
        os.makedirs(self.model_dir.directory, exist_ok=True)
        with open(self.model_dir.path(Entry.METRICS), "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=step)
        self._writer.flush()

    def forget(self, after_step: int) -> None:
        """Drops the lines that a resumed run will write again, and a line that a kill left half-written."""
        if not self.model_dir.has(Entry.METRICS):
            return
        with open(self.model_dir.path(Entry.METRICS), encoding="utf-8") as file:
            lines = [line for line in file if self._stays(line, after_step)]
        self.model_dir.write_text(Entry.METRICS, "".join(lines))

    def _stays(self, line: str, after_step: int) -> bool:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            return False
        return entry["phase"] != self.phase or entry["step"] <= after_step
