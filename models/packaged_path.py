"""Paths of files that come with the package."""

import os

_MODELS = os.path.dirname(os.path.abspath(__file__))


def packaged_path(path: str) -> str:
    """The path itself, or that of the file of the package where only `models/...` of the package has it."""
    if path.startswith("models/") and not os.path.exists(path):
        packaged = os.path.join(_MODELS, path.removeprefix("models/"))
        if os.path.exists(packaged):
            return packaged
    return path
