"""Versions in a base path: written apart, checked, and then there at once."""

import contextlib
import errno
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable
from typing import Any

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
_CLAIM = ".claim-"
_MAX_VERSION = 2**63 - 2


def publish(base: str, build: Callable[[str], None]) -> str:
    """Makes the next version under a base path.

    TF Serving takes any child of the base path whose name is an integer, the moment it appears. So the version is
    built in `.tmp-…` beside it, written through to the disk, and renamed; nothing is ever overwritten, and a process
    that is killed leaves nothing but `.tmp-…`. Of several at the same time each gets a version of its own.

    On object stores (`gs://…` and what else `tf.io.gfile` reaches) nothing can be renamed at once: the version is
    built on the local disk and copied, `saved_model.pb` last, without which no server loads it.

    Args:
        base: str. The base path; created if it does not exist.
        build: Callable. `build(directory)` writes the version into a local directory, and raises if it cannot.

    Returns:
        The path of the new version: the base path and the next integer.

    Raises:
        OSError: The base path cannot be written.
        ValueError: The base path is a version itself.
        RuntimeError: Another process is publishing to the same object store.
    """
    if "://" in base:
        return _publish_remote(base, build)
    base = os.path.abspath(base)
    if os.path.exists(os.path.join(base, "saved_model.pb")):
        raise ValueError(f"This is a version itself; give the directory above it. Received: {base!r}")
    os.makedirs(base, exist_ok=True)
    temporary = os.path.join(base, f".tmp-{uuid.uuid4().hex}")
    os.mkdir(temporary)
    try:
        build(temporary)
        _write_through(temporary)
        while True:
            target = os.path.join(base, str(next_version(os.listdir(base))))
            try:
                os.rename(temporary, target)
                break
            except OSError as error:
                if error.errno not in _TAKEN:  # else another process was faster, and the next number is free
                    raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _fsync(base)
    return target


def versions(names: Iterable[str]) -> list[int]:
    """The integers of 64 bits among the names of a base path's children, in order; a server reads `007` as 7."""
    return sorted(int(name) for name in names if re.fullmatch(r"-?[0-9]+", name) and abs(int(name)) < _MAX_VERSION)


def next_version(names: Iterable[str]) -> int:
    """The integer after the largest among the names of a base path's children; the first is 1.

    A version that was put aside as `.7`, to go back to the one before, counts too.
    """
    return max([0, *versions(name.removeprefix(".") for name in names)]) + 1


def newest_version(base: str) -> str:
    """The path of the newest version under a base path, or the path itself where it is a version.

    Raises:
        ValueError: There is none.
    """
    gfile = _gfile()
    base = base.rstrip("/") if "://" in base else os.path.abspath(base)
    if gfile.exists(f"{base}/saved_model.pb"):
        return base
    candidates = []
    if gfile.isdir(base):
        names = [name.rstrip("/") for name in gfile.listdir(base)]
        candidates = [(versions([name])[0], name) for name in names if versions([name])]
    for _, name in sorted(candidates, reverse=True):
        if gfile.exists(f"{base}/{name}/saved_model.pb"):
            return f"{base}/{name}"
    raise ValueError(f"There is no exported version under this path; export one first. Received: {base!r}")


def _publish_remote(base: str, build: Callable[[str], None]) -> str:
    gfile = _gfile()
    base = base.rstrip("/")
    gfile.exists(base)  # raises, before anything is built, where there is no such file system
    with tempfile.TemporaryDirectory(prefix="devise_tf-export-") as local:
        build(local)
        gfile.makedirs(base)
        version = next_version(name.rstrip("/") for name in gfile.listdir(base))
        # Written before the others are looked for: of two processes at least one sees the other, and leaves.
        claim = f"{base}/{_CLAIM}{version}-{uuid.uuid4().hex}"
        with gfile.GFile(claim, "w") as file:
            file.write("")
        target = f"{base}/{version}"
        try:
            names = [name.rstrip("/") for name in gfile.listdir(base)]
            others = [name for name in names if name.startswith(f"{_CLAIM}{version}-") and not claim.endswith(name)]
            if others or str(version) in names:
                raise RuntimeError(
                    f"Another process is publishing version {version} to {base!r}: try again when it has finished. If "
                    f"it was killed, remove the files that it left. Received: {[*others, str(version)]}"
                )
            try:
                _copy(local, target)
            except BaseException:
                with contextlib.suppress(Exception):
                    gfile.rmtree(target)
                raise
        finally:
            gfile.remove(claim)
    return target


def _copy(local: str, target: str) -> None:
    gfile = _gfile()
    files = [os.path.relpath(os.path.join(top, name), local) for top, _, names in os.walk(local) for name in names]
    for name in sorted(files, key=lambda name: (name == "saved_model.pb", name)):
        gfile.makedirs(os.path.dirname(f"{target}/{name}"))
        gfile.copy(os.path.join(local, name), f"{target}/{name}")


def _gfile() -> Any:
    import tensorflow as tf  # late: a local path needs none of it

    return tf.io.gfile


def _write_through(directory: str) -> None:
    for top, _, names in os.walk(directory):
        for name in names:
            _fsync(os.path.join(top, name))
        _fsync(top)


def _fsync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
