"""Images that cannot be used, counted and named."""

import os
import threading

import tensorflow as tf
from absl import logging

from devise_tf.images.image_source import ImageSource
from devise_tf.images.photo import decoded_photo


class BadImages:
    """Counts images that cannot be read or decoded, logs the name of each once, and stops a run that has too many.

    Safe to use from several threads; one object serves one source.

    Args:
        source: ImageSource. The images.
        path: String or None. File to which a line is appended for each bad image: name, tab, reason. A name that the
            file already holds is not repeated. By default names go to the program's log only.
        max_share: Float, 0 to 1. Share of bad images above which `record` raises.

    Attributes:
        count: Integer. Number of bad images so far.

    Raises:
        ValueError: `max_share` is not between 0 and 1.
    """

    def __init__(self, source: ImageSource, path: str | None = None, max_share: float = 0.05):
        if not 0 <= max_share <= 1:
            raise ValueError(f"`max_share` must be between 0 and 1. Received: max_share={max_share}")
        self.source = source
        self.path = path
        self.max_share = max_share
        self._lock = threading.Lock()
        self._names: dict[int, tuple[str, str]] = {}  # with the reasons
        self._written: set[str] = set()
        if path and os.path.exists(path):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                self._written = {line.split("\t")[0] for line in file}

    @property
    def count(self) -> int:
        return len(self._names)

    def record(self, index: int) -> None:
        """Counts the image at `index` unless it was counted before, and logs why it is bad.

        Raises:
            ValueError: More than `max_share` of the source's images are bad.
        """
        index = int(index)
        if index not in self._names:
            name, reason = self.source.describe(index), self._reason(index)
            with self._lock:
                if index not in self._names:
                    self._names[index] = name, reason
                    self._log(name, reason)
        self.check()

    def check(self) -> None:
        """Raises the `ValueError` of `record` if too many images are bad; `tf.data` turns it into another error."""
        if self.count > self.max_share * len(self.source):
            first = "".join(f"\n  {name}: {reason}" for name, reason in list(self._names.values())[:5])
            log = f"are listed in {self.path}" if self.path else "are in the log"
            raise ValueError(
                f"{self.count} of the {len(self.source)} images of {self.source.name} cannot be used, more than the "
                f"allowed share of {self.max_share:g}. Those that were met so far {log}; there may be more among the "
                f"images that were not read yet. The first:{first}"
            )

    def _reason(self, index: int) -> str:
        try:
            decoded_photo(self.source.encoded(tf.constant(index, tf.int64)).numpy())
        except ValueError as error:
            return " ".join(str(error).split())
        except tf.errors.OpError as error:
            return f"it cannot be read: {' '.join(error.message.split())}"
        return "failed once, but could be read on the second try"

    def _log(self, name: str, reason: str) -> None:
        logging.warning("Skipped the image %s: %s", name, reason)
        if self.path and name not in self._written:
            self._written.add(name)
            with open(self.path, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{name}\t{reason}\n")
