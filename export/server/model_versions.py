"""The versions of a model under a base path: which one is served, and what became of the others."""

import contextlib
import dataclasses
import re
import threading
import time
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from devise_tf.export.server.loaded_version import LoadedVersion
from devise_tf.export.server.prediction import replay_warmup
from devise_tf.export.server.request_error import RequestError, from_tensorflow, invalid

_LOAD_RETRIES = 5  # as TF Serving's --max_num_load_retries
_MAX_STATUSES = 100
_MAX_VERSION = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """What became of a version.

    Attributes:
        number: int. The version.
        state: str. `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        code: str. Name of a gRPC status; not `OK` where the version could not be loaded.
        message: str. Why it could not.
    """

    number: int
    state: str
    code: str = "OK"
    message: str = ""


class ModelVersions:
    """Serves the newest version under a base path, and follows what happens there.

    Children of the base path whose name is a plain decimal integer are versions. As TF Serving's policy `latest` does,
    one is served: the newest. A new one is loaded and warmed up while the old one goes on answering; then the old one
    is unloaded as soon as its last request has ended. A version that cannot be loaded leaves the old one in its place;
    it is tried again five times, a minute apart, as in TF Serving. When the version that is served disappears, the
    newest that is left takes its place; when none is left, nothing is served. A base path that cannot be read changes
    nothing.

    Args:
        base: str. The base path, local or one that `tf.io.gfile` reaches.
        name: str. The model's name.
        poll_seconds: float. Seconds between looks at the base path.
        retry_seconds: float. Seconds until a version that failed is tried again.
    """

    def __init__(self, base: str, name: str, poll_seconds: float = 1.0, retry_seconds: float = 60.0):
        self.base, self.name = base, name
        self._poll_seconds, self._retry_seconds = poll_seconds, retry_seconds
        self._changed = threading.Condition()
        self._current: LoadedVersion | None = None
        self._retired: list[LoadedVersion] = []
        self._statuses: dict[int, VersionStatus] = {}
        self._failures: dict[int, tuple[int, float]] = {}  # how often, and when to try again
        self._problem = ""
        self._stopping = False
        self._thread = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self, wait_for_version: bool = False) -> None:
        """Loads the newest version and begins to look for others.

        Args:
            wait_for_version: bool. Whether to return at once, and serve a version when there is one.

        Raises:
            FileNotFoundError: The base path does not exist.
            ValueError: There is no version under it, or the newest cannot be loaded.
        """
        if not wait_for_version:
            self._poll()
            if self._current is None:
                raise ValueError(f"{self._why_nothing_is_served()} Received: {self.base}")
        self._thread.start()

    @contextlib.contextmanager
    def acquire(self, name: str, number: int | None = None, label: str = "") -> Iterator[LoadedVersion]:
        """The version that a request asks for; it stays loaded meanwhile.

        Args:
            name: str. The model's name.
            number: int. The version; the newest by default.
            label: str. A version's label.

        Raises:
            RequestError: In TF Serving's words, NOT_FOUND, or INVALID_ARGUMENT for a label: there are none here.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if label:
            raise invalid(f"Unrecognized servable version label: {label}")
        with self._changed:
            version = self._current
            if name != self.name or version is None or number not in (None, version.number):
                requested = f"Latest({name})" if number is None else f"Specific({name}, {number})"
                raise RequestError("NOT_FOUND", f"Servable not found for request: {requested}")
            version.users += 1
        try:
            yield version
        finally:
            with self._changed:
                version.users -= 1
                if version is not self._current:
                    self._changed.notify_all()

    def statuses(self, number: int | None = None) -> list[VersionStatus]:
        """What became of one version, or of all, the newest first; none for a version that was never seen."""
        with self._changed:
            known = sorted(self._statuses.values(), key=lambda status: -status.number)
        return [status for status in known if number in (None, status.number)]

    @property
    def served(self) -> int | None:
        """The version that is served."""
        current = self._current
        return current.number if current else None

    def stop(self, timeout: float) -> bool:
        """Unloads everything that no request uses within `timeout` seconds; whether that was all."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(max(timeout, 1.0))  # at once, unless a version is being loaded
        self._serve(None)
        with self._changed:
            self._changed.wait_for(
                lambda: not any(version.users for version in self._retired), max(0.0, deadline - time.monotonic())
            )
        self._unload()
        return not self._retired and not self._thread.is_alive()

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._idle(), self._poll_seconds)
                if self._stopping:
                    return
            self._unload()
            try:
                self._poll()
                problem = ""
            except Exception as error:  # of whatever file system it is
                problem = str(error)
            if problem and problem != self._problem:
                logging.warning("Cannot read the base path; the version that is served stays: %s", problem)
            self._problem = problem

    def _poll(self) -> None:
        names = _find_versions(self.base)
        self._failures = {number: failure for number, failure in self._failures.items() if number in names}
        newest = max(names, default=None)
        if newest == self.served:
            return
        if newest is None:
            self._serve(None)
            return
        times, retry_at = self._failures.get(newest, (0, 0.0))
        if times <= _LOAD_RETRIES and time.monotonic() >= retry_at:
            self._load(newest, f"{self.base.rstrip('/')}/{names[newest]}")

    def _load(self, number: int, path: str) -> None:
        self._set_status(VersionStatus(number, "START"))
        self._set_status(VersionStatus(number, "LOADING"))
        try:
            version = LoadedVersion(path, number)
            try:
                replay_warmup(version)
            except BaseException:
                version.close()
                raise
        except Exception as error:  # whatever is wrong with a model, the server goes on
            if not isinstance(error, RequestError):
                error = from_tensorflow(error)
            times = self._failures.get(number, (0, 0.0))[0] + 1
            self._failures[number] = times, time.monotonic() + self._retry_seconds
            self._set_status(VersionStatus(number, "END", error.code, str(error)))
            logging.error("Version %d cannot be served: %s: %s", number, error.code, error)
            return
        self._serve(version)
        if self.served == number:
            logging.info("Version %d is served.", number)

    def _serve(self, version: LoadedVersion | None) -> None:
        """Puts a version, or nothing, in the place of the one that is served."""
        with self._changed:
            if version and self._stopping:  # meanwhile
                self._retired.append(version)
                version = None
            old, self._current = self._current, version
            if version:
                self._set_status(VersionStatus(version.number, "AVAILABLE"))
            if old:
                self._set_status(VersionStatus(old.number, "UNLOADING"))
                self._retired.append(old)
        self._unload()

    def _why_nothing_is_served(self) -> str:
        for status in self.statuses():
            return f"Version {status.number} cannot be served: {status.code}: {status.message}"
        if tf.io.gfile.exists(f"{self.base.rstrip('/')}/saved_model.pb"):
            return "This is a version itself; give the directory above it."
        return (
            "There is no version under the base path, which would be a directory named by a number: export a model "
            "there, or wait for one (--wait_for_version)."
        )

    def _idle(self) -> list[LoadedVersion]:
        return [version for version in self._retired if not version.users]

    def _unload(self) -> None:
        """Unloads what no request uses any more."""
        with self._changed:
            idle = self._idle()
            self._retired = [version for version in self._retired if version not in idle]
        for version in idle:
            version.close()
            # The same version may have come back, and be served again.
            if version.number != self.served:
                self._set_status(VersionStatus(version.number, "END"))
            logging.info("Version %d is unloaded.", version.number)

    def _set_status(self, status: VersionStatus) -> None:
        with self._changed:
            self._statuses[status.number] = status
            ended = [number for number, status in self._statuses.items() if status.state == "END"]
            for number in sorted(ended)[: max(0, len(self._statuses) - _MAX_STATUSES)]:
                del self._statuses[number]


def _find_versions(base: str) -> dict[int, str]:
    """Names of the children that are versions, by number."""
    if not tf.io.gfile.exists(base):
        raise FileNotFoundError(
            "The base path does not exist: export a model there, or wait for one (--wait_for_version). "
            f"Received: {base}"
        )
    names = {name.partition("/")[0] for name in tf.io.gfile.listdir(base)}
    # Of `7` and `007`, which are one version, the same one each time.
    versions = {int(name): name for name in sorted(names) if re.fullmatch("[0-9]+", name, re.ASCII)}
    return {number: name for number, name in versions.items() if number <= _MAX_VERSION}
