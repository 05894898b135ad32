"""What the benchmarks share: tasks in fresh processes with their time and memory, statistics, tables and results."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import numpy as np

from devise_tf import command as commands
from devise_tf.files import atomic_write

TRAINERS = ("devise_tf", "gensim", "fasttext", "keras")
# gensim's ways to take a corpus; see `tests.benchmarks.tasks`.
GENSIM_MODES = ("corpus_file", "lists", "line_sentence")
# Trainers that are no dependency of this package: their modules, and the distributions that bring them.
_OPTIONAL = {"gensim": "gensim", "fasttext": "fasttext-wheel"}
# gensim calls BLAS from each worker and fastText not at all: a second layer of threads would only be in the way.
ONE_BLAS_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
_ERROR_CHARACTERS = 3000


class TaskError(RuntimeError):
    """A process of the benchmark failed; the message holds the end of what it printed."""


def define_shared_flags(define: commands.Definitions, trainers: Sequence[str]) -> None:
    """Defines the flags that all benchmarks have.

    Args:
        define: Defines them.
        trainers: The default of `--trainers`.
    """
    define.list("trainers", list(trainers), f"What to measure, out of {', '.join(TRAINERS)}.")
    define.string("work_dir", "/tmp/devise_tf_benchmarks", "Prepared corpora and intermediate results.")
    define.string("output", "", "JSON file of all measurements; empty for none.")
    define.integer("threads", 2, "Threads of each trainer; the processes are held to as many cores.", 1)
    define.float("sample", 1e-3, "Subsampling threshold.", 0)


def chosen_trainers(names: Sequence[str]) -> list[str]:
    """The trainers that can run here; prints how to install those that cannot.

    Raises:
        ValueError: A name is unknown, or none is left.
    """
    unknown = set(names) - set(TRAINERS)
    if unknown:
        raise commands.UsageError(f"`trainers` must be out of {TRAINERS}. Received: {sorted(unknown)}")
    result = []
    for name in names:
        if is_installed(name):
            result.append(name)
        else:
            print(f"{name} is not installed and left out; `pip install {_OPTIONAL[name]}` brings it.", flush=True)
    if not result:
        raise commands.UsageError(f"None of `trainers` can run here. Received: {list(names)}")
    return result


def is_installed(trainer: str) -> bool:
    """Whether a trainer can run here."""
    return trainer not in _OPTIONAL or importlib.util.find_spec(trainer) is not None


def pin_cores(threads: int) -> int:
    """Holds this process and those that it starts to `threads` cores, where the system can; returns their number."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    return len(os.sched_getaffinity(0))


def run_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> dict:
    """Runs a command to its end.

    The peak of memory is the kernel's, and it never is below that of the process that starts the command: keep that
    one small.

    Args:
        command: Program and arguments.
        environment: What to add to the environment.

    Returns:
        `{"wall_seconds", "peak_bytes", "output"}`; `output` is what it printed, errors included.

    Raises:
        TaskError: The command ended with an error.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": path, **(environment or {})}
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", errors="replace").replace("\r", "\n")
    if process.returncode:
        raise TaskError(
            f"A process ended with status {process.returncode}: {shlex.join(command)}\n{text[-_ERROR_CHARACTERS:]}"
        )
    # Linux counts in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"wall_seconds": seconds, "peak_bytes": peak, "output": text}


def run_task(task: str, settings: Mapping, environment: Mapping[str, str] | None = None) -> dict:
    """Runs a task of `tests.benchmarks.tasks` in a fresh process.

    Args:
        task: The task's name.
        settings: Its settings; JSON must keep them.
        environment: What to add to the environment.

    Returns:
        The task's result, and of `run_process` the time and the memory.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "result.json")
        command = [sys.executable, "-m", "tests.benchmarks.tasks", task, json.dumps(settings), path]
        measured = run_process(command, environment)
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    return {**result, "wall_seconds": measured["wall_seconds"], "peak_bytes": measured["peak_bytes"]}


def run_trainer(trainer: str, settings: Mapping) -> dict:
    """Trains once, in a fresh process; see `tests.benchmarks.tasks`."""
    return run_task(trainer, settings, ONE_BLAS_THREAD if trainer in _OPTIONAL else None)


def spread(values: Sequence[float], form: str) -> str:
    """`median (least to greatest)`, or the value if it is the only one."""
    if not values:
        return ""
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def mean_spread(values: Sequence[float], form: str) -> str:
    """`mean (least to greatest)`."""
    return f"{statistics.fmean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are figures."""
    table = [list(header), *map(list, rows)]
    widths = [max(3, *(len(row[i]) for row in table)) for i in range(len(header))]
    table.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    lines = []
    for row in table:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("| " + " | ".join([row[0].ljust(widths[0]), *cells[1:]]) + " |")
    return "\n".join(lines)


def machine() -> dict:
    """What the figures depend on: processor, cores, versions, and the command."""
    processor = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        processor = names[0] if names else processor
    versions = {"python": platform.python_version()}
    for name in ("numpy", "numba", "tensorflow", "keras", "gensim", "fasttext-wheel"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    module = sys.modules["__main__"].__spec__
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions,
        "command": shlex.join(["python", "-m", module.name if module else sys.argv[0], *sys.argv[1:]]),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def write_json(path: str, value: object) -> None:
    """Writes JSON atomically; an empty path writes nothing."""
    if not path:
        return
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with atomic_write(path) as handle:
        handle.write((json.dumps(value, indent=1) + "\n").encode("utf-8"))


def share(hits: np.ndarray) -> str:
    """The share of hits, bool `[N]`, in per cent, and its 95 % interval by bootstrap."""
    draws = np.random.default_rng(0).multinomial(len(hits), np.full(len(hits), 1 / len(hits)), 1000)
    low, high = np.quantile(100 * draws @ hits / len(hits), [0.025, 0.975])
    return f"{100 * hits.mean():.1f} [{low:.1f}, {high:.1f}]"
