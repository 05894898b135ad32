"""Writes the text of the small world in Hindi, and draws photos to label.

  python -m devise_tf.models.small_world_hindi.write_text --output=hindi.txt --photos=hindi_photos

The text is the same on every machine. --photos=FOLDER draws a photo of each unseen label there, FOLDER/ID.png.
"""

import dataclasses
import os
import sys

import numpy as np
from absl import flags
from PIL import Image

from devise_tf import command, small_world
from devise_tf.files import atomic_write
from devise_tf.labels import LabelSet
from devise_tf.models.small_world_hindi.hindi import HINDI
from devise_tf.packaged import models_folder
from devise_tf.small_world.drawing import draw
from devise_tf.small_world.writing import write_sentences


def define_flags(define: command.Definitions) -> None:
    define.string("output", "hindi.txt", "The file of text to write.")
    define.string("photos", "", "Folder to draw a photo of each unseen label in; empty for none.")


def hindi_labels() -> LabelSet:
    """The labels of the small world with their Hindi terms."""
    return LabelSet.load(models_folder() / "small_world_hindi" / "labels.txt")


def hindi_world() -> small_world.World:
    """The small world with Hindi terms of its species."""
    world, labels = small_world.world(), hindi_labels()
    terms = [tuple(labels.terms[labels.index[species.id]]) for species in world.species]
    pairs = zip(world.species, terms, strict=True)
    return dataclasses.replace(world, species=tuple(dataclasses.replace(s, terms=t) for s, t in pairs))


def main(_: list[str], options: flags.FlagValues) -> None:
    world = hindi_world()
    with atomic_write(options.output) as file:
        file.writelines(f"{sentence}\n".encode() for sentence in write_sentences(world, language=HINDI))
    print(f"{options.output}: {os.path.getsize(options.output)} bytes")
    if options.photos:
        os.makedirs(options.photos, exist_ok=True)
        unseen = [species for species in world.species if species.id in world.unseen]
        for number, species in enumerate(unseen):
            pixels = draw(species.traits, np.random.default_rng(number))
            Image.fromarray(pixels).save(os.path.join(options.photos, f"{species.id}.png"))
        print(f"{options.photos}: {len(unseen)} photos")


def run(argv: list[str] | None = None) -> int:
    return command.run(main, define_flags, __doc__, argv)


if __name__ == "__main__":
    sys.exit(run())
