"""Trains DeViSE: a skip-gram on text, a CNN on images, and the projection that joins them; prints the paper's table.

Start with the built-in set, which needs no data and no network:

  python -m devise_tf.train --preset=quickstart

With your own:

  python -m devise_tf.train --model_dir=runs/mine --corpus='text/*.xz' --images=folder:photos \\
      --labels=words.txt --unseen_labels=unseen.txt --hierarchy=wordnet

A flagfile holds flags, one a line (--flagfile=FILE); flags behind it on the command line win. An interrupted run goes
on where it was when the same command is given again.
"""

import dataclasses
import os
import sys

from absl import app, flags, logging

from devise_tf.packaged import packaged_files


def define_flags() -> None:
    """Defines a flag for each setting of `devise_tf.config.Config`."""
    from devise_tf.config import Config

    makers = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_boolean,
    }
    for field in dataclasses.fields(Config):
        choices, help = field.metadata["choices"], field.metadata["help"]
        if choices:
            flags.DEFINE_enum(field.name, field.default, choices, help)
        else:
            makers[field.type](field.name, field.default, help)
    names = ", ".join(packaged_files("recipe"))
    flags.DEFINE_string("preset", None, f"A flagfile that comes with the package: {names}.")


def with_preset(argv: list[str]) -> list[str]:
    """Puts the flagfile of `--preset=NAME` in the preset's place."""
    expanded = []
    for argument in argv:
        name = argument.partition("--preset=")[2]
        if name and name not in packaged_files("recipe"):
            raise ValueError(f"--preset must be one of {list(packaged_files('recipe'))}. Received: --preset={name}")
        expanded.append(f"--flagfile={packaged_files('recipe')[name]}" if name else argument)
    return expanded


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise ValueError(f"Flags only, please. Received: {' '.join(argv[1:])}")
    if flags.FLAGS.preset:
        raise ValueError(f"Join the preset's name with '=': --preset={flags.FLAGS.preset}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # what TFDS and TensorFlow do is not what the user of a command asked
    from devise_tf.config import Config
    from devise_tf.training import make_strategy, train

    config = Config(**{field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(Config)})
    train(config, make_strategy(config.strategy))


def run() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    define_flags()
    try:
        app.run(main, argv=with_preset(sys.argv))
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    run()
