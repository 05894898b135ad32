"""How every command starts and ends.

A command is a function `main(arguments, values)`, which gets the arguments that are not flags and the flags' values,
and a function that defines its flags. Flags are read from the command line and from flagfiles, one a line
(`--flagfile=FILE`). The exit status is 0 if all went right, 1 if something failed, and 2 if the command line is wrong;
one line on the standard error says what.
"""

import contextlib
import functools
import os
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import flags, logging

Main = Callable[[list[str], flags.FlagValues], int | None]

_HELP = ("--help", "-help", "--helpshort", "--helpfull", "-h", "-?")
_FAILURES = (ValueError, OSError, ArithmeticError, RuntimeError, ModuleNotFoundError, zipfile.BadZipFile)


class UsageError(ValueError):
    """The command line is wrong."""


class Definitions:
    """Defines flags: `define.string(name, default, help)` is absl's `DEFINE_string` for one set of values.

    Args:
        values: The set of flags to define them in.
    """

    def __init__(self, values: flags.FlagValues):
        self.values = values

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        return functools.partial(getattr(flags, f"DEFINE_{kind}"), flag_values=self.values)


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """Turns errors about what the command line names into a `UsageError`."""
    try:
        yield
    except (ValueError, OSError, flags.Error) as error:
        raise UsageError(str(error)) from error


def run(
    main: Main,
    define_flags: Callable[[Definitions], None],
    usage: str,
    argv: Sequence[str] | None = None,
    *,
    accepts: str = "flags",
    old_names: Mapping[str, str] | None = None,
    expand: Callable[[list[str]], list[str]] = list,
    verbosity: int = logging.WARNING,
) -> int:
    """Runs a command.

    Args:
        main: The command; its result, if any, is the exit status.
        define_flags: Defines the command's flags.
        usage: What `--help` says before it lists the flags.
        argv: List of strings. The command line without the program; by default that of the process, which is then
            set up for a command: quiet, with absl's log.
        accepts: String. `"flags"`, `"arguments"` (beside flags), or `"all"` (flags of others, too, as arguments).
        old_names: Mapping. Flags' former names, which go on working, to those of now.
        expand: Function. Replaces arguments of the command line before flags are read.
        verbosity: Integer. absl's level of the log unless `--verbosity` is given.

    Returns:
        The exit status: 0 right, 1 failed, 2 wrong usage.
    """
    values = flags.FlagValues()
    define_flags(Definitions(values))
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any(argument in _HELP for argument in arguments):
        print(f"{usage}\nflags:\n{values.get_help(include_special_flags=False)}")
        return 0
    values.append_flag_values(flags.FLAGS)
    if argv is None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        logging.use_absl_handler()
        warnings.formatwarning = lambda message, *_: f"Warning: {message}\n"
        flags.FLAGS.mark_as_parsed()
    try:
        with usage_errors():
            arguments = expand(_renamed(arguments, old_names or {}, say=True))
            arguments = _renamed(values.read_flags_from_files(arguments, force_gnu=False), old_names or {})
            arguments = values(["", *arguments], known_only=accepts == "all")[1:]
        if accepts == "flags" and arguments:
            raise UsageError(f"Unexpected arguments: {' '.join(arguments)}; this command takes flags only.")
        if not values["verbosity"].present:
            logging.set_verbosity(verbosity)
        return main(arguments, values) or 0
    except Exception as error:
        # Of TensorFlow's errors (a full disk, a file system that is not there) the first line says what happened.
        from_tensorflow = type(error).__module__.startswith("tensorflow")
        if not from_tensorflow and not isinstance(error, _FAILURES):
            raise
        logging.debug("The error's origin:", exc_info=error)
        message = str(error).partition("\n")[0] if from_tensorflow else str(error)
        print(f"Error: {message}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UsageError) else 1


def _renamed(arguments: Sequence[str], old_names: Mapping[str, str], say: bool = False) -> list[str]:
    """The arguments with the names that flags have now."""
    result, renamed = [], {}
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        old = flag.removeprefix("-").removeprefix("-")
        if flag.startswith("-") and old in old_names:
            renamed[old] = old_names[old]
            flag = f"--{old_names[old]}"
        result.append(f"{flag}{equals}{value}")
    for old, new in renamed.items() if say else ():
        print(f"--{old} is called --{new} now; the old name still works.", file=sys.stderr)
    return result
