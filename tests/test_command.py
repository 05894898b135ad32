"""How every command starts and ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from devise_tf import command
from tests.helpers.commands import call

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
from devise_tf import command

def main(arguments, values):
    raise OSError(28, "No space left on device")

sys.exit(command.run(main, lambda define: define.integer("k", 5, "How many."), "Does nothing."))
"""


class TensorFlowError(Exception):
    """As TensorFlow's errors, whose further lines say where in the graph."""

    __module__ = "tensorflow.python.framework.errors_impl"


def define_flags(define):
    define.integer("k", 5, "How many.", lower_bound=1)
    define.string("labels_file", None, "File of labels.")


def run(main, accepts="flags"):
    """A command's `run` that knows former names of its flags."""
    old_names = {"top_k": "k", "labels": "labels_file"}
    return lambda argv: command.run(main, define_flags, "Says things.\n", argv, accepts=accepts, old_names=old_names)


def show(arguments, values):
    print(arguments, values.k, values.labels_file)


def test_flags_and_arguments_reach_the_command():
    assert call(run(show, "arguments"), "a", "--k=2", "-", "--labels_file", "b") == (0, "['a', '-'] 2 b\n", "")
    assert call(run(show, "all"), "--runner=x", "--k=2", "y") == (0, "['--runner=x', 'y'] 2 None\n", "")


def test_runs_have_flags_of_their_own():
    call(run(show), "--k=2")
    assert call(run(show)).out == "[] 5 None\n"


@pytest.mark.parametrize("flag", ["--help", "-help", "--helpshort", "-h"])
def test_help_lists_usage_and_flags(flag):
    status, out, err = call(run(show), "--k=0", flag)
    assert (status, err) == (0, "") and out.startswith("Says things.\n\nflags:\n")
    assert "--k: How many." in out and "(default: '5')" in out and "verbosity" not in out and "top_k" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--k=0"], "flag --k=0: 0 is not a positive integer"),
        (["--kk=1"], "Unknown command line flag 'kk'"),
        (["--k"], "Missing value for flag --k"),
        (["a", "b"], "Unexpected arguments: a b; this command takes flags only.\n"),
        (["--flagfile=nothing.txt"], "ERROR:: Unable to open flagfile: [Errno 2] No such file or directory: 'nothing"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, message):
    status, out, err = call(run(show), *arguments)
    assert (status, out) == (2, "") and err.startswith(f"Error: {message}") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("`k` must fit. Received: 7"), 1, "`k` must fit. Received: 7"),
        (OSError(28, "No space left on device"), 1, "[Errno 28] No space left on device"),
        (FloatingPointError("not finite"), 1, "not finite"),
        (ModuleNotFoundError("pip install it"), 1, "pip install it"),
        (TensorFlowError("no such file system\n\t[[node]]"), 1, "no such file system"),
        (command.UsageError("Name a photo."), 2, "Name a photo."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_end_with_one_line(error, status, message):
    def fail(arguments, values):
        raise error

    assert call(run(fail)) == (status, "", f"Error: {message}\n")


def test_mistakes_of_the_program_keep_their_traceback():
    def fail(arguments, values):
        raise KeyError("k")

    with pytest.raises(KeyError):
        call(run(fail))


def test_errors_about_what_flags_name_are_wrong_usage():
    def fail(arguments, values):
        with command.usage_errors():
            raise FileNotFoundError(2, "No such file or directory", "labels.txt")

    assert call(run(fail)) == (2, "", "Error: [Errno 2] No such file or directory: 'labels.txt'\n")


def test_status_of_a_command_is_its_result():
    assert call(run(lambda arguments, values: 1)).status == 1


def test_former_flag_names_work_and_say_so_once():
    outcome = call(run(show), "--top_k=1", "-top_k", "3", "--labels=a=b")
    assert outcome.status == 0 and outcome.out == "[] 3 a=b\n"
    assert outcome.err.splitlines() == [
        "--top_k is called --k now; the old name still works.",
        "--labels is called --labels_file now; the old name still works.",
    ]


def test_former_flag_names_in_flagfiles_need_no_word(tmp_path):
    (tmp_path / "flags.txt").write_text("--top_k=4\n--labels=old.txt\n")
    assert call(run(show), f"--flagfile={tmp_path}/flags.txt") == (0, "[] 4 old.txt\n", "")


def test_a_process_ends_as_a_call_does():
    ended = {}
    for arguments in ([], ["--k=x"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        ended[done.returncode] = done.stdout + done.stderr
    assert ended[1] == "Error: [Errno 28] No space left on device\n"
    assert ended[2].startswith("Error: flag --k=x: ") and ended[0].startswith("Does nothing.\nflags:\n")
