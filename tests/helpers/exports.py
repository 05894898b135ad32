"""Exported versions in tests."""

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

from devise_tf.export.manifest import MANIFEST_FILE
from devise_tf.export.verify import verify


@contextlib.contextmanager
def checked_in_this_process() -> Iterator[None]:
    """Exports are checked in this process, which is quicker, and not in a fresh one."""
    with mock.patch("devise_tf.export.write_version.verify_in_fresh_process", verify):
        yield


def manifest_of(version: str) -> dict[str, Any]:
    """The manifest of a version as it is stored."""
    return json.loads(pathlib.Path(version, MANIFEST_FILE).read_text())


def copy_of(base: str, directory: pathlib.Path) -> str:
    """Copies a directory, so that a test may change it."""
    shutil.copytree(base, directory)
    return str(directory)
