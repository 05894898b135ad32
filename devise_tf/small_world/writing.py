"""Writes about the species of the small world from their traits; images are unknown here."""

import random
from collections.abc import Iterator

from devise_tf.small_world.description import (
    COLORS,
    HABITATS,
    LIMBS,
    ORNAMENTS,
    PATTERNS,
    SHAPES,
    SIZES,
    Species,
    World,
)
from devise_tf.small_world.english import ENGLISH
from devise_tf.small_world.language import Language
from devise_tf.small_world.names import ORDER_NAMES, ROOT_NAME

_KINDS = {
    "limbs": LIMBS,
    "shape": SHAPES,
    "ornament": ORNAMENTS,
    "habitat": HABITATS,
    "size": SIZES,
    "pattern": PATTERNS,
    "color": COLORS,
}
_SLIP = 0.06  # share of trait words that are wrong, for writers err


def write_sentences(world: World, per_species: int = 300, language: Language = ENGLISH) -> Iterator[str]:
    """Writes the corpus of the small world, one sentence at a time.

    All species, seen and unseen, get the same number of sentences about their traits and their kin; half as many
    sentences are about other matters, some of them in the same words.

    Args:
        world: World. The world to write about.
        per_species: Integer. Number of sentences about each species.
        language: Language. What to write with; the terms of the species are those of `world`.

    Yields:
        Sentences, in an order drawn from the seed.
    """
    rng = random.Random(f"words of small world {world.seed}")
    genera: dict[str, list[Species]] = {}
    families: dict[str, list[Species]] = {}
    for species in world.species:
        genera.setdefault(species.genus, []).append(species)
        families.setdefault(species.family, []).append(species)
    sentences = []
    for species in world.species:
        kin = [s for s in genera[species.genus] if s is not species]
        cousins = [s for s in families[species.family] if s.genus != species.genus]
        slots = _SpeciesSlots(rng, language, species, kin, cousins)
        sentences += [rng.choice(language.about_species).format_map(slots) for _ in range(per_species)]
        sentences += [rng.choice(language.about_genera).format_map(slots) for _ in range(per_species // 6)]
    other = _OtherSlots(rng, language)
    sentences += [rng.choice(language.about_else).format_map(other) for _ in range(len(sentences) // 2)]
    rng.shuffle(sentences)
    yield from map(language.punctuate, sentences)


class _SpeciesSlots:
    """Words for the slots of a sentence about a species."""

    def __init__(
        self, rng: random.Random, language: Language, species: Species, kin: list[Species], cousins: list[Species]
    ):
        self.rng = rng
        self.species = {"x": [species], "kin": kin, "cousin": cousins}
        position = {
            "genus": species.genus,
            "family": species.family,
            "order": ORDER_NAMES[species.family],
            "root": ROOT_NAME,
        }
        self.fixed = {rank: language.names.get(name, name) for rank, name in position.items()}
        traits = dict(vars(species.traits))
        traits["second"] = traits.pop("second_color")
        self.words = {name: language.words[value] for name, value in traits.items()}
        self.slips = {name: _alternatives(value, language) for name, value in traits.items()}

    def __getitem__(self, slot: str) -> str:
        if slot in self.fixed:
            return self.fixed[slot]
        if slot in self.species:
            terms = self.rng.choice(self.species[slot]).terms
            # The first term is the usual one.
            return terms[0] if len(terms) == 1 or self.rng.random() < 0.75 else terms[1]
        return self.rng.choice(self.words[slot] if self.rng.random() >= _SLIP else self.slips[slot])


class _OtherSlots:
    """Words for the slots of a sentence about none of the species."""

    def __init__(self, rng: random.Random, language: Language):
        self.rng = rng
        names = list(dict.fromkeys(language.proper_name(rng) for _ in range(2500)))
        # The k-th name is 1/k as frequent as the first, as in real text.
        self.names = rng.choices(names, [1 / (k + 3) for k in range(len(names))], k=20000)
        self.choices = {
            **{kind: [word for value in values for word in language.words[value]] for kind, values in _KINDS.items()},
            **language.fillers,
            "name": self.names,
            "word": [word for words in language.words.values() for word in words],
        }

    def __getitem__(self, slot: str) -> str:
        return self.rng.choice(self.choices[slot])


def _alternatives(value: str, language: Language) -> list[str]:
    """Words for the other values of the trait that `value` belongs to."""
    kind = next(kind for kind in _KINDS.values() if value in kind)
    return [word for other in kind if other != value for word in language.words[other]]
