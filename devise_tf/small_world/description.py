"""The seeded description of the small world: what there is, before it is drawn or written about."""

import random
from dataclasses import dataclass, fields
from functools import lru_cache

from devise_tf.labels.hierarchy import Hierarchy
from devise_tf.labels.label_set import LabelSet
from devise_tf.small_world.names import FAMILY_NAMES, GENUS_NAMES, ORDER_NAMES, ROOT_NAME, name_label

SEED = 2013

LIMBS = ("legs", "fins", "wings", "petals", "spines", "tendrils")
SHAPES = ("round", "long", "triangular", "square", "teardrop", "star", "crescent", "hexagonal")
ORNAMENTS = ("horns", "tail", "crest", "antennae", "beak", "collar", "none")
HABITATS = ("marsh", "desert", "snow", "sea", "forest", "rock", "meadow", "night")
SIZES = ("small", "medium", "large")
PATTERNS = ("plain", "striped", "banded", "spotted", "chequered", "ringed")
COLORS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "black")

SPECIES_PER_GENUS = 4
UNSEEN_SHARE = 0.2
# Pairs that a small photo cannot tell apart; no body is patterned in both.
_CLOSE_COLORS = {
    frozenset(pair.split())
    for pair in ("red orange", "orange yellow", "red pink", "teal green", "teal blue", "blue purple", "purple pink")
}


@dataclass(frozen=True)
class Traits:
    """What a species is like: all that drawing gets to know of it.

    A family shares `limbs`; a genus shares `shape`, `ornament` and `size`, and mostly `habitat`; `color`,
    `second_color` and `pattern` differ between species, within the few that occur in a genus.
    """

    limbs: str
    shape: str
    ornament: str
    size: str
    habitat: str
    color: str
    second_color: str
    pattern: str

    def overlap(self, other: "Traits") -> float:
        """The share of traits that two species have in common."""
        names = [f.name for f in fields(self)]
        return sum(getattr(self, n) == getattr(other, n) for n in names) / len(names)


@dataclass(frozen=True)
class Species:
    """A label with its position in the hierarchy and its traits."""

    id: str
    terms: tuple[str, ...]
    genus: str
    family: str
    traits: Traits


@dataclass(frozen=True)
class World:
    """Species in genera in families, a fifth of the species unseen.

    Attributes:
        seed: Integer. The world was made from it.
        species: Tuple of Species, in the order of the labels.
        unseen: List of strings. Ids of the labels that are never drawn in training images.
    """

    seed: int
    species: tuple[Species, ...]
    unseen: list[str]

    @property
    def labels(self) -> LabelSet:
        return LabelSet([s.id for s in self.species], [list(s.terms) for s in self.species])

    @property
    def seen(self) -> list[str]:
        return [s.id for s in self.species if s.id not in set(self.unseen)]

    @property
    def hierarchy(self) -> Hierarchy:
        """Label -> genus -> family -> order -> root."""
        parents = {}
        for s in self.species:
            order = ORDER_NAMES[s.family]
            parents.update({s.id: [s.genus], s.genus: [s.family], s.family: [order], order: [ROOT_NAME]})
        return Hierarchy(parents)


@lru_cache(maxsize=4)
def world(seed: int = SEED) -> World:
    """Makes the small world of a seed: 120 labels, 30 genera, 6 families, 2 orders."""
    rng = random.Random(f"small world {seed}")
    species: list[Species] = []
    used_terms: set[str] = set()
    habitats = rng.sample(HABITATS, len(HABITATS))
    for limbs, family in zip(LIMBS, FAMILY_NAMES, strict=True):
        genera = GENUS_NAMES[family]
        shapes = rng.sample(SHAPES, len(genera))
        ornaments = rng.sample(ORNAMENTS, len(genera))
        family_habitats = habitats[:3]
        habitats = habitats[3:] + habitats[:3]
        for genus, shape, ornament in zip(genera, shapes, ornaments, strict=True):
            habitat, size = rng.choice(family_habitats), rng.choice(SIZES)
            coats = [(color, pattern) for color in rng.sample(COLORS, 3) for pattern in rng.sample(PATTERNS, 2)]
            second_colors = rng.sample(COLORS, 5)
            for color, pattern in rng.sample(coats, SPECIES_PER_GENUS):
                traits = Traits(
                    limbs=limbs,
                    shape=shape,
                    ornament=ornament,
                    size=size,
                    habitat=habitat if rng.random() < 0.75 else rng.choice(family_habitats),
                    color=color,
                    second_color=next(c for c in second_colors if _contrast(c, color)),
                    pattern=pattern,
                )
                terms = name_label(rng, genus, (traits.habitat, color, pattern), used_terms)
                species.append(Species(terms[0].replace(" ", "_"), tuple(terms), genus, family, traits))
    unseen = _choose_unseen(rng, species)
    return World(seed, tuple(species), [species[i].id for i in unseen])


def _choose_unseen(rng: random.Random, species: list[Species]) -> list[int]:
    """Indices of the unseen species: at most two per genus, and each of their traits occurs in a seen species."""
    while True:
        candidates = []
        for start in range(0, len(species), SPECIES_PER_GENUS):
            candidates += rng.sample(range(start, start + SPECIES_PER_GENUS), 2)
        unseen = sorted(rng.sample(candidates, round(UNSEEN_SHARE * len(species))))
        seen = [s for i, s in enumerate(species) if i not in set(unseen)]
        if _values(seen) == _values(species):
            return unseen


def _values(species: list[Species]) -> set[tuple[str, str]]:
    return {item for s in species for item in vars(s.traits).items()}


def _contrast(a: str, b: str) -> bool:
    return a != b and frozenset((a, b)) not in _CLOSE_COLORS
