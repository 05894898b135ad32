"""What a text about the small world is written with."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Language:
    """Words and sentences of a language, for `write_sentences`.

    Sentences are templates with slots in braces. In those about species and genera, `{x}` is the species, `{kin}`
    another of its genus, `{cousin}` one of its family, `{genus}`, `{family}`, `{order}` and `{root}` are its position,
    and `{limbs}`, `{shape}`, `{ornament}`, `{size}`, `{habitat}`, `{pattern}`, `{color}` and `{second}` (the second
    color) its traits. In those about other matters `{name}` is somebody or some place, `{word}` any word of any trait,
    a trait any of its words, and the others are those of `fillers`.

    Args:
        words: Mapping. For each value of a trait the words for it. They fill slots as they are: languages that inflect
            need templates which take all of them in one form.
        about_species: Sequence of strings. Templates about a species.
        about_genera: Sequence of strings. Templates about a genus.
        about_else: Sequence of strings. Templates about other matters.
        fillers: Mapping. Further slots of `about_else`, with the words for each.
        proper_name: Function of a `random.Random` that gives a name of somebody or of some place.
        punctuate: Function of a filled template that gives the sentence.
        names: Mapping. Names of genera, families, orders and the root, where they differ from the world's.
    """

    words: Mapping[str, Sequence[str]]
    about_species: Sequence[str]
    about_genera: Sequence[str]
    about_else: Sequence[str]
    fillers: Mapping[str, Sequence[str]]
    proper_name: Callable[[random.Random], str]
    punctuate: Callable[[str], str]
    names: Mapping[str, str] = field(default_factory=dict)
