"""Trains DeViSE: a skip-gram on text, a CNN on images, and the projection that joins them; prints the paper's table.

Start with the built-in set, which needs no data and no network:

  python -m devise_tf.train --recipe=quickstart

With your own:

  python -m devise_tf.train --model_dir=runs/mine --corpus='text/*.xz' --images=folder:photos \\
      --labels_file=words.txt --unseen_labels=unseen.txt --hierarchy=wordnet

A flagfile holds flags, one a line (--flagfile=FILE); flags behind it on the command line win. An interrupted run goes
on where it was when the same command is given again.
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable
from typing import Any

from absl import flags

from devise_tf import command
from devise_tf.config import OLD_NAMES, Config
from devise_tf.packaged import packaged_files


def define_flags(define: command.Definitions) -> None:
    """Defines a flag for each setting of `devise_tf.config.Config`."""
    makers: dict[Any, Callable[..., Any]] = {
        str: define.string,
        int: define.integer,
        float: define.float,
        bool: define.boolean,
    }
    for field in dataclasses.fields(Config):
        choices, help = field.metadata["choices"], field.metadata["help"]
        if choices:
            define.enum(field.name, field.default, choices, help)
        else:
            makers[field.type](field.name, field.default, help)
    names = ", ".join(packaged_files("recipe"))
    define.string("recipe", None, f"A flagfile that comes with the package: {names}.")


def with_recipe(arguments: list[str]) -> list[str]:
    """Replaces `--recipe=NAME` by the recipe's flagfile."""
    recipes = packaged_files("recipe")
    expanded = []
    for argument in arguments:
        name = argument.partition("--recipe=")[2]
        if name and name not in recipes:
            raise ValueError(f"--recipe must be one of {list(recipes)}. Received: --recipe={name}")
        expanded.append(f"--flagfile={recipes[name]}" if name else argument)
    return expanded


def main(_: list[str], values: flags.FlagValues) -> None:
    if values.recipe:
        raise command.UsageError(f"Join the recipe's name with '=': --recipe={values.recipe}")
    settings: dict[str, Any] = {field.name: values[field.name].value for field in dataclasses.fields(Config)}
    with command.usage_errors():
        config = Config(**settings)
    from devise_tf.training import make_strategy, train

    line = shlex.join(["python", "-m", "devise_tf.train", *config.command_line()])
    train(config, make_strategy(config.strategy), command=line)


def run(argv: list[str] | None = None) -> int:
    old_names = {**OLD_NAMES, "preset": "recipe"}
    return command.run(main, define_flags, __doc__, argv, old_names=old_names, expand=with_recipe)


if __name__ == "__main__":
    sys.exit(run())
