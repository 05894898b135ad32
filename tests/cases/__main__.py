"""Tries inputs that people really have, made anew, and prints what happens with each and whether that is right.

  python -m tests.cases            all of them
  python -m tests.cases L01 V02    some of them, by their ids

They are taken from public reports of people who do this job with other tools. The exit status is 0 if all are right, 1
if any is wrong, and 2 if the command line is.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

_MAX_CHARACTERS = 130


@contextlib.contextmanager
def _without_native_log() -> Iterator[None]:
    """Drops what TensorFlow's C++ code writes to the standard error; what Python does is collected elsewhere."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def main(arguments: list[str] | None = None) -> int:
    start, wrong = time.monotonic(), 0
    # Before TensorFlow is imported, as for the tests.
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    with _without_native_log():
        from tests.cases.collected import CASES
    parser = argparse.ArgumentParser(
        prog="python -m tests.cases", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"of {', '.join(CASES)}; all by default")
    names = parser.parse_args(arguments).ids or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"there are no cases {', '.join(unknown)}; there are {', '.join(CASES)}")
    id_width, width = max(map(len, names)), max(len(CASES[name].situation) for name in names)
    print(f"{'id':<{id_width}}  {'situation':<{width}}  {'what happens':<{_MAX_CHARACTERS}}  right or wrong")
    for name in names:
        with _without_native_log(), tempfile.TemporaryDirectory() as folder:
            finding = CASES[name].run(Path(folder))
        wrong += not finding.right
        happens = textwrap.shorten(finding.text, _MAX_CHARACTERS, placeholder=" …")
        verdict = "right" if finding.right else f"WRONG; right is: {CASES[name].answer}"
        print(
            f"{name:<{id_width}}  {CASES[name].situation:<{width}}  {happens:<{_MAX_CHARACTERS}}  {verdict}", flush=True
        )
    print(f"{len(names)} cases, {wrong} wrong, {time.monotonic() - start:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
