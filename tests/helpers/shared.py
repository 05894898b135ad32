"""What takes long to make is made once, and all processes of a test run use it."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECONDS = 600  # what is made here takes a tenth of this on an idle machine


def shared(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Any:
    """Calls `make` in the first process that needs its result, and gives the result to all.

    Args:
        tmp_path_factory: The fixture of that name.
        name: String, the folder's name, unique among those of the test run.
        make: Function of a new, empty folder. Its result must have a form in JSON. Nobody may change the files later.

    Returns:
        The result of `make`, read from JSON.

    Raises:
        RuntimeError: `make` failed in another process, or did not end in time.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each process has a folder of its own in the common one
        base = base.parent
    folder, outcome = base / name, base / f"{name}.json"
    try:
        folder.mkdir()
    except FileExistsError:
        return _wait_for(outcome)["result"]
    written: dict[str, Any] = {"error": "interrupted"}
    try:
        written = {"result": make(folder)}
    except Exception as error:
        written = {"error": repr(error)}
        raise
    finally:
        temporary = outcome.with_suffix(".tmp")
        temporary.write_text(json.dumps(written))
        temporary.replace(outcome)
    return json.loads(outcome.read_text())["result"]


def _wait_for(outcome: Path) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while not outcome.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"Still not made by another process after {SECONDS} s: {outcome.stem}")
        time.sleep(0.1)
    written = json.loads(outcome.read_text())
    if "error" in written:
        raise RuntimeError(f"Making {outcome.stem} failed in another process: {written['error']}")
    return written
