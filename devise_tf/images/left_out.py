"""What lies in a folder of images and is no image, said in a line."""

import collections
import functools
import os
from collections.abc import Iterable

from absl import logging

from devise_tf.photo_bytes import EXTENSIONS

_SYSTEM_NAMES = ("@eadir", "__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "#recycle", "lost+found")
_MAX_LISTED = 10


def is_system(name: str) -> bool:
    """Whether the name of a file or folder is that of a hidden one, or of an operating system's own."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def has_image_ending(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def is_image(name: str) -> bool:
    """Whether the name of a file is that of an image that somebody put there."""
    return has_image_ending(name) and not is_system(name)


class LeftOut:
    """Counts what a walk through a folder passes over.

    Args:
        folder: String. The folder, for the message.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._files: collections.Counter[str] = collections.Counter()
        self._beside: collections.Counter[str] = collections.Counter()
        self._system: set[str] = set()
        self._empty: list[str] = []

    def add(self, name: str) -> None:
        """Counts a file that is no image by its ending; of what `is_system` tells it keeps the name."""
        if is_system(name):
            self._system.add("._*" if name.startswith("._") else name)
        else:
            self._files[_ending(name)] += 1

    def add_file_beside_labels(self, name: str) -> None:
        """Counts a file where folders of labels belong."""
        self._beside[_ending(name)] += 1

    def add_label_without_images(self, label: str) -> None:
        self._empty.append(label)

    def __str__(self) -> str:
        parts = [
            _counted("that are no images", self._files),
            _counted("beside the folders of the labels", self._beside),
            f"hidden or of the system: {_listed(sorted(self._system))}" if self._system else "",
            f"labels without an image: {_listed(self._empty)}" if self._empty else "",
        ]
        return "; ".join(filter(None, parts))

    def log(self) -> None:
        """Says once in a process what was left out, if anything was."""
        if str(self):
            say_once(f"Left out in {self.folder}: {self}")


@functools.cache
def say_once(message: str) -> None:
    """Logs a message, once in a process: training and evaluation open the same folders."""
    logging.warning("%s", message)


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "no ending"


def _counted(what: str, endings: collections.Counter[str]) -> str:
    if not endings:
        return ""
    total = endings.total()
    counts = _listed([f"{ending} {count}" for ending, count in endings.most_common()])
    return f"{total} {'file' if total == 1 else 'files'} {what}: {counts}"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_MAX_LISTED]) + (", …" if len(names) > _MAX_LISTED else "")
