"""Machines that lack something, in processes of their own."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.helpers import tiny_run
from tests.helpers.tiny_run import read_metrics

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def python(code, *arguments, status=0, warnings="error", **variables):
    """Runs code in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", code, *arguments],
        env=tiny_run.environment(**variables),
        capture_output=True,
        text=True,
        timeout=tiny_run.SECONDS,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


CHECK = "from tests.helpers.engine_oracle import assert_engine_is_right as check\n"


def test_import_compiles_nothing(tmp_path):
    code = (
        "import sys\n"
        "from devise_tf.training.engine import skip_gram_engine, skip_gram_kernels\n"
        "functions = [f for f in vars(skip_gram_kernels).values() if hasattr(f, 'signatures')]\n"
        "print(len(functions), [f.signatures for f in functions if f.signatures], 'tensorflow' in sys.modules)"
    )
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)).split(maxsplit=1)[1] == "[] False\n"
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []


def test_without_numba_training_uses_keras_and_says_so(tmp_path):
    """The command says so in one line and trains with Keras operations; Numba is asked for in phase 1 only."""
    inputs = tiny_run.make_inputs(tmp_path)
    code = (
        "import runpy, sys\n"
        "import devise_tf.models, devise_tf.training.run\n"
        "print('imported', 'numba' in sys.modules)\n"
        "sys.modules['numba'] = None\n"
        "runpy.run_module('devise_tf.train', run_name='__main__', alter_sys=True)\n"
    )
    flags = {"corpus": inputs["corpus"], "model_dir": tmp_path / "run", "phase": "skip_gram", "dimension": 8}
    flags |= {"window": 3, "min_count": 2, "sample": 0, "verbose": 0, "log_every": 3}
    output = python(code, *(f"--{name}={value}" for name, value in flags.items()), warnings="default")
    lines = [line for line in output.splitlines() if "umba" in line]
    assert lines == [
        "Training with Keras operations, which is slower: Numba cannot be used here "
        "(import of numba halted; None in sys.modules)."
    ]
    assert "imported False" in output
    assert os.path.exists(tmp_path / "run" / "vectors.bin")
    # The steps of the Keras path: none is put together with others.
    assert [line["step"] for line in read_metrics(tmp_path / "run")][:2] == [3, 6]


def copy_of_the_package(directory):
    """A copy of the package without compiled files, with a folder for those that cannot be made: a file is there."""
    shutil.copy(os.path.join(ROOT, "setup.py"), directory)  # tells a checkout from an installed package
    for name in ("devise_tf", "models", "tests"):
        shutil.copytree(os.path.join(ROOT, name), directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "devise_tf" / "training" / "engine" / "__pycache__").write_text("")


@pytest.mark.slow
@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_read_only_package_caches_elsewhere_or_not_at_all(tmp_path, home):
    """Compiled code goes to the user's cache folder; where that cannot be written either, it is not kept."""
    copy_of_the_package(tmp_path)
    folder = tmp_path / "home"
    folder.mkdir() if home == "writable" else folder.write_text("")
    variables = {"PYTHONPATH": str(tmp_path), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    python(f"import os\nos.chdir({str(tmp_path)!r})\n{CHECK}check(16)", **variables)
    kept = [name for _, _, names in os.walk(folder) for name in names if name.endswith(".nbc")]
    assert bool(kept) == (home == "writable")


@pytest.mark.soak
@pytest.mark.parametrize("when", ["before", "after"])
def test_kills_while_compiling_leave_a_usable_cache(tmp_path, when):
    """Killed at the first files that each process writes; the next one takes what is whole, and the last is right."""
    code = (
        "import os, signal, sys\n"
        "replace, left = os.replace, int(sys.argv[1])\n"
        "def kill(*args):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left == 0 and sys.argv[2] == 'before':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(*args)\n"
        "    if left == 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = kill\n"
        f"{CHECK}check(16)\nprint('right')"
    )
    for count in (1, 2, 5, 4):
        python(code, str(count), when, status=-signal.SIGKILL, NUMBA_CACHE_DIR=str(tmp_path))
    assert python(code, "-1", when, NUMBA_CACHE_DIR=str(tmp_path)) == "right\n"
    # And from what was kept alone.
    assert python(code, "1", "before", NUMBA_CACHE_DIR=str(tmp_path)) == "right\n"


def test_engine_is_right_without_avx_512(tmp_path):
    """Code for a CPU without AVX-512."""
    code = (
        "from devise_tf.training.engine import matrix_tiles\n"
        f"print(matrix_tiles.LANES)\n{CHECK}"
        "for dimension in (6, 16, 24, 100):\n"
        "    check(dimension, window=4, block_size=4, summed_updates=16.0)"
    )
    features = "+avx,+avx2,+fma,+sse3,+ssse3,+sse4.1,+sse4.2,+bmi,+bmi2"
    variables = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    assert python(code, **variables) == "8\n"
