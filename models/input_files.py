"""Input files that flags name, those that come with the package included."""

import os

from devise_tf.data import LabelSet

_MODELS = os.path.dirname(os.path.abspath(__file__))


def packaged_path(path: str) -> str:
    """The path itself, or that of the package's file where only the package has a file `models/...`."""
    path = os.path.expanduser(path)
    if path.startswith("models/") and not os.path.exists(path):
        packaged = os.path.join(_MODELS, path.removeprefix("models/"))
        if os.path.exists(packaged):
            return packaged
    return path


def existing_file(path: str, flag: str) -> str:
    """The path of an input file; `models/...` also names files that come with the package."""
    found = packaged_path(path)
    if not os.path.isfile(found):
        raise ValueError(f"`{flag}` must name a file that is there: correct the path. Received: {flag}={path!r}")
    return found


def open_labels(paths: str, flag: str = "labels") -> LabelSet:
    """Reads a label file, or several separated by commas; of a label in several of them the first one's terms count."""
    files = [paths] if os.path.isfile(packaged_path(paths)) else [path.strip() for path in paths.split(",")]
    labels = LabelSet.load(existing_file(files[0], flag))
    for path in files[1:]:
        labels = labels.merged_with(LabelSet.load(existing_file(path, flag)))
    return labels
