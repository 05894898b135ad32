"""Files that come with the package: recipes, presets, vectors, hierarchies, labels, descriptions, by kind and name."""

import os
import tomllib
from pathlib import Path
from typing import Any

import devise_tf

# For each kind the files that belong to it, as a pattern below the folder of the models.
_PATTERNS = {
    "recipe": "**/*.flags",
    "preset": "*/*.json",
    "architectures": "*/architectures.toml",
    "vectors": "skip_gram/*.npz",
    "hierarchy": "*/hierarchy.txt",
    "labels": "imagenet/labels_*.txt",
    "descriptions": "descriptions/*.tsv",
}
# Kinds whose files all have one name: they go by the folders that they lie in.
_BY_FOLDER = ("architectures", "hierarchy")


def models_folder() -> Path:
    """Returns the folder of `devise_tf.models`, which holds all of these files, without importing it."""
    folders = (Path(folder, "models") for folder in devise_tf.__path__)
    return next(folder for folder in folders if folder.is_dir())


def packaged_files(kind: str) -> dict[str, str]:
    """Returns the files of a kind that come with the package.

    Args:
        kind: String. `"recipe"` (flagfiles), `"preset"` (pretrained models), `"architectures"` (of visual models),
            `"vectors"`, `"hierarchy"`, `"labels"` or `"descriptions"`.

    Returns:
        Paths by name, sorted by name: that of the folder for a hierarchy or architectures, else the file's without
        the extension.
    """
    paths = models_folder().glob(_PATTERNS[kind])
    by_name = {path.parent.name if kind in _BY_FOLDER else path.stem: str(path) for path in paths}
    return dict(sorted(by_name.items()))


def packaged_architectures() -> dict[str, dict[str, Any]]:
    """The architectures of visual models that the model folders have, as data.

    Returns:
        For each name its entries in `architectures.toml`, its `folder`, and those that a folder has for all of its
        architectures: `builder`, and where it has one `load_weights`.
    """
    result: dict[str, dict[str, Any]] = {}
    for folder, path in packaged_files("architectures").items():
        with open(path, "rb") as file:
            entries = tomllib.load(file)
        shared = {"folder": folder} | {key: value for key, value in entries.items() if not isinstance(value, dict)}
        result |= {name: shared | table for name, table in entries.items() if isinstance(table, dict)}
    return result


def packaged_path(path: str) -> str:
    """Returns the path, or that of a file of the package if `models/...` exists there only."""
    path = os.path.expanduser(path)
    if path.startswith("models/") and not os.path.exists(path):
        in_package = models_folder() / path.removeprefix("models/")
        if in_package.exists():
            return str(in_package)
    return path


def existing_file(path: str, flag: str) -> str:
    """Returns the path of an input file; `models/...` also names files that come with the package.

    Raises:
        ValueError: The file does not exist.
    """
    result = packaged_path(path)
    if not os.path.isfile(result):
        raise ValueError(f"`{flag}` must name a file that is there: correct the path. Received: {flag}={path!r}")
    return result
