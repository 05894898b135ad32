import os
import re
import threading

import tensorflow as tf
from absl import logging

from devise_tf.images.decode_image import decode_image
from devise_tf.images.image_source import ImageSource


class BadImages:
    """Counts the images that cannot be read or decoded, names each once in a log, and stops a run that has too many.

    Safe to use from several threads; one object serves one source.

    Args:
        source: The `ImageSource`.
        path: File to which a line a bad image is appended: its name, a tab, the reason. Names that it already holds
            are not repeated. By default names go to the program's log only.
        max_share: Share of the source's images, from 0 to 1, above which `record` raises.

    Attributes:
        count: Number of bad images so far.
    """

    def __init__(self, source: ImageSource, path: str | None = None, max_share: float = 0.05):
        if not 0 <= max_share <= 1:
            raise ValueError(f"`max_share` must be between 0 and 1. Received: max_share={max_share}")
        self.source = source
        self.path = path
        self.max_share = max_share
        self._lock = threading.Lock()
        self._names = {}
        self._written = set()
        if path and os.path.exists(path):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                self._written = {line.split("\t")[0] for line in file}

    @property
    def count(self) -> int:
        return len(self._names)

    def record(self, index: int) -> None:
        """Counts the image at `index`, if it is new, and logs why it is bad.

        Raises:
            ValueError: More than `max_share` of the source's images are bad.
        """
        index = int(index)
        if index not in self._names:
            name, reason = self.source.describe(index), self._reason(index)
            with self._lock:
                if index not in self._names:
                    self._names[index] = name
                    self._log(name, reason)
        self.check()

    def check(self) -> None:
        """Raises the `ValueError` of `record` where too many images were bad; `tf.data` gives it as another error."""
        if self.count > self.max_share * len(self.source):
            first = "".join(f"\n  {name}" for name in list(self._names.values())[:5])
            log = f"All are listed in {self.path}." if self.path else "The log names all."
            raise ValueError(
                f"{self.count} of the {len(self.source)} images of {self.source.name} cannot be used, more than the "
                f"allowed share of {self.max_share:g}. {log} The first:{first}"
            )

    def _reason(self, index):
        try:
            decode_image(self.source.encoded(tf.constant(index, tf.int64)))
        except tf.errors.OpError as error:
            message = re.sub(r"{{.*?}}|assertion failed:|\[Op:.*", "", error.message, flags=re.DOTALL)
            return " ".join(message.split())
        return "failed once, and could be read when tried again"

    def _log(self, name, reason):
        logging.warning("Skipped the image %s: %s", name, reason)
        if self.path and name not in self._written:
            self._written.add(name)
            with open(self.path, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{name}\t{reason}\n")
