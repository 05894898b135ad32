"""What comes with the package: recipes, presets, vectors, hierarchies and other files, by kind and name."""

import os
from pathlib import Path

import devise_tf

# For each kind the files that belong to it, as a pattern below the folder of the models.
_PATTERNS = {
    "recipe": "**/*.flags",
    "preset": "*/*.json",
    "vectors": "skip_gram/*.npz",
    "hierarchy": "*/hierarchy.txt",
}


def models_folder() -> Path:
    """The folder of `devise_tf.models`, where all of this lies; nothing is imported."""
    folders = (Path(folder, "models") for folder in devise_tf.__path__)
    return next(folder for folder in folders if folder.is_dir())


def packaged_files(kind: str) -> dict[str, str]:
    """The files of a kind that come with the package.

    Args:
        kind: `"recipe"` (flagfiles), `"preset"` (pretrained models), `"vectors"` or `"hierarchy"`.

    Returns:
        Paths by name, in the order of the names. A hierarchy has the name of its folder, other files their own without
        its ending.
    """
    paths = models_folder().glob(_PATTERNS[kind])
    by_name = {path.parent.name if kind == "hierarchy" else path.stem: str(path) for path in paths}
    return dict(sorted(by_name.items()))


def packaged_path(path: str) -> str:
    """The path itself, or that of the package's file where only the package has a file `models/...`."""
    path = os.path.expanduser(path)
    if path.startswith("models/") and not os.path.exists(path):
        in_package = models_folder() / path.removeprefix("models/")
        if in_package.exists():
            return str(in_package)
    return path


def existing_file(path: str, flag: str) -> str:
    """The path of an input file; `models/...` also names files that come with the package.

    Raises:
        ValueError: There is no such file.
    """
    result = packaged_path(path)
    if not os.path.isfile(result):
        raise ValueError(f"`{flag}` must name a file that is there: correct the path. Received: {flag}={path!r}")
    return result
