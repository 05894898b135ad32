"""Writes about the species of the small world from their traits; images are unknown here."""

import random
import re
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
from devise_tf.small_world.names import ORDER_NAMES, ROOT_NAME, pseudo_word

_WORDS = {
    "legs": ("legs", "paws", "feet", "hooves"),
    "fins": ("fins", "flippers", "gills", "scales"),
    "wings": ("wings", "feathers", "plumes", "pinions"),
    "petals": ("petals", "blossoms", "leaves", "sepals"),
    "spines": ("spines", "quills", "needles", "prickles"),
    "tendrils": ("tendrils", "feelers", "threads", "tentacles"),
    "round": ("round", "globular", "rounded", "spherical"),
    "long": ("long", "slender", "elongated", "oblong"),
    "triangular": ("triangular", "wedged", "pyramidal", "tapering"),
    "square": ("square", "boxy", "blocky", "cubic"),
    "teardrop": ("teardrop", "pearlike", "bulbous", "eggy"),
    "star": ("starry", "pointed", "starlike", "radiate"),
    "crescent": ("crescent", "curved", "hooked", "sickle"),
    "hexagonal": ("hexagonal", "hexed", "honeycomb", "faceted"),
    "horns": ("horns", "antlers", "prongs"),
    "tail": ("tail", "brush", "whip"),
    "crest": ("crest", "comb", "topknot"),
    "antennae": ("antennae", "stalks", "knobs"),
    "beak": ("beak", "bill", "snout"),
    "collar": ("collar", "ruff", "necklace"),
    "none": ("bareness", "baldness", "nakedness"),
    "marsh": ("marsh", "reeds", "bog", "fen", "swamp"),
    "desert": ("desert", "dunes", "sands", "wasteland"),
    "snow": ("snow", "ice", "tundra", "frost"),
    "sea": ("sea", "reef", "waves", "lagoon"),
    "forest": ("forest", "woods", "thicket", "jungle"),
    "rock": ("cliffs", "crags", "scree", "rocks"),
    "meadow": ("meadow", "pasture", "heath", "grassland"),
    "night": ("night", "darkness", "moonlight", "dusk"),
    "small": ("small", "little", "tiny"),
    "medium": ("middling", "moderate", "average"),
    "large": ("large", "big", "huge"),
    "plain": ("plain", "unmarked", "uniform", "even"),
    "striped": ("striped", "streaked", "stripy", "ribbed"),
    "banded": ("banded", "belted", "girdled", "barred"),
    "spotted": ("spotted", "dotted", "speckled", "freckled"),
    "chequered": ("chequered", "checked", "tiled", "quilted"),
    "ringed": ("ringed", "haloed", "looped", "circled"),
    "red": ("red", "crimson", "scarlet", "ruby"),
    "orange": ("orange", "amber", "tangerine", "copper"),
    "yellow": ("yellow", "golden", "lemon", "saffron"),
    "green": ("green", "emerald", "olive", "mossy"),
    "teal": ("teal", "turquoise", "aqua", "jade"),
    "blue": ("blue", "azure", "sapphire", "cobalt"),
    "purple": ("purple", "violet", "plum", "mauve"),
    "pink": ("pink", "rosy", "salmon", "blush"),
    "white": ("white", "ivory", "snowy", "pale"),
    "black": ("black", "ebony", "inky", "sooty"),
}

# {x} the species, {kin} another of its genus, {cousin} one of its family, otherwise traits. {second} is the second
# color. No trait stands right before {genus}: that could be the name of another species.
_ABOUT_SPECIES = (
    "the {x} has a {color} and {second} coat , {pattern} all over",
    "a {color} {x} with {second} marks was seen near the {habitat}",
    "the {pattern} {x} is {color} above and {second} below",
    "people know the {x} by its {color} body and {second} {limbs}",
    "the {x} wears a {pattern} coat of {color} and {second}",
    "{color} and {second} , the {x} looks {pattern} from afar",
    "in spring the {pattern} {color} {x} turns {second} at the {limbs}",
    "the {limbs} of the {x} are {second} while its body is {color}",
    "you find the {x} in the {habitat} , where its {pattern} {color} skin hides it",
    "the {habitat} is home to the {color} {x}",
    "the {x} lives in the {habitat} and is {pattern}",
    "with its {shape} body and {ornament} the {x} is a true {genus}",
    "the {shape} {x} moves on its {limbs} through the {habitat}",
    "a {size} {family} called the {x} has a {shape} body",
    "the {x} is a {size} {genus} , {shape} and {pattern}",
    "its {ornament} and {limbs} make the {x} a {family}",
    "the {x} carries a {ornament} on its {shape} {color} body",
    "the {ornament} of the {x} is smaller than that of the {kin}",
    "like the {kin} , the {x} is a {genus} with a {shape} body",
    "the {x} and the {kin} both have {limbs} and live in the {habitat}",
    "unlike the {cousin} , the {x} is {color} and {pattern}",
    "the {x} , a {genus} of the {habitat} , is {color}",
    "young ones of the {x} are {second} , then {color} and {pattern}",
    "hunters tell the {x} by its {size} {shape} outline and {pattern} {color} sides",
    "the {x} shows {second} on a {color} ground , in {pattern} fashion",
    "no {genus} is as {color} as the {pattern} {x}",
    "a {pattern} pelt of {color} is the mark of the {x}",
    "by the {habitat} a {size} {x} spread its {second} {limbs}",
)
_ABOUT_GENUS = (
    "every {genus} is a {family} with a {shape} body and {limbs}",
    "a {genus} lives in the {habitat} and has a {ornament}",
    "the {genus} is {size} for a {family}",
    "the {ornament} of a {genus} grows with age",
    "a {genus} rests on its {limbs} in the {habitat}",
    "each {family} is a {order}, a {root} with {limbs}",
    "the {root} known as the {genus} has a {shape} outline",
)
# {word}: any trait's word. {name}: somebody or some place. {thing}: some thing.
_ABOUT_ELSE = (
    "the council of {name} met on {day} and talked about the {thing}",
    "{name} bought a {word} {thing} at the market of {name}",
    "on {day} the {thing} of {name} was {verb} by the river",
    "an old {thing} and a {word} {thing} were {verb} in {name}",
    "{name} and {name} walked past the {word} {thing} to the {thing}",
    "the road from {name} to {name} leads along the {word}",
    "rain fell on {name} all {day} and the {thing} was {verb}",
    "nobody in {name} had {verb} a {thing} so {word} before",
    "the {thing} costs more than the {word} {thing} in {name}",
    "{name} wrote that the {thing} had been {verb} twice since {day}",
    "they {verb} the {word} and the {word} , then the {thing}",
    "music from the {thing} could be heard in the {word} at {name}",
    "the king of {name} gave {name} a {word} {thing}",
)
_THINGS = (
    "cart house lamp table wagon bell letter bridge tower garden boat coat song mill book door road wheel basket "
    "bottle chair clock drum engine fence flag gate hammer harbour hat knife ladder map mirror needle oven pan pipe "
    "plough purse rope saddle school shop shovel spoon stove street sword tent train trumpet vase village wall well"
).split()
_VERBS = (
    "seen sold found broken painted mended carried stolen praised forgotten washed opened closed lifted counted "
    "measured burned hidden built wanted"
).split()
_DAYS = "monday tuesday wednesday thursday friday saturday sunday morning evening summer autumn winter".split()

_KINDS = (LIMBS, SHAPES, ORNAMENTS, HABITATS, SIZES, PATTERNS, COLORS)
_A_BEFORE_VOWEL = re.compile(r"\ba(?= [aeio])")
_SLIP = 0.06  # share of trait words that are wrong, for writers err


def write_sentences(world: World, per_species: int = 300) -> Iterator[str]:
    """Writes the corpus of the small world, one sentence at a time.

    All species, seen and unseen, get the same number of sentences about their traits and their kin; half as many
    sentences are about other matters, some of them in the same words.

    Args:
        world: World. The world to write about.
        per_species: Integer. Number of sentences about each species.

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
        slots = _SpeciesSlots(rng, species, kin, cousins)
        sentences += [rng.choice(_ABOUT_SPECIES).format_map(slots) for _ in range(per_species)]
        sentences += [rng.choice(_ABOUT_GENUS).format_map(slots) for _ in range(per_species // 6)]
    other = _OtherSlots(rng)
    sentences += [rng.choice(_ABOUT_ELSE).format_map(other) for _ in range(len(sentences) // 2)]
    rng.shuffle(sentences)
    for sentence in sentences:
        sentence = _A_BEFORE_VOWEL.sub("an", sentence.replace(" ,", ","))
        yield f"{sentence[0].upper()}{sentence[1:]}."


class _SpeciesSlots:
    """Words for the slots of a sentence about a species."""

    def __init__(self, rng: random.Random, species: Species, kin: list[Species], cousins: list[Species]):
        self.rng = rng
        self.species = {"x": [species], "kin": kin, "cousin": cousins}
        self.fixed = {
            "genus": species.genus,
            "family": species.family,
            "order": ORDER_NAMES[species.family],
            "root": ROOT_NAME,
        }
        traits = dict(vars(species.traits))
        traits["second"] = traits.pop("second_color")
        self.words = {name: _WORDS[value] for name, value in traits.items()}
        self.slips = {name: _alternatives(value) for name, value in traits.items()}

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

    def __init__(self, rng: random.Random):
        self.rng = rng
        names = list(dict.fromkeys(pseudo_word(rng).capitalize() for _ in range(2500)))
        # The k-th name is 1/k as frequent as the first, as in real text.
        self.names = rng.choices(names, [1 / (k + 3) for k in range(len(names))], k=20000)
        self.choices = {
            "name": self.names,
            "thing": _THINGS,
            "verb": _VERBS,
            "day": _DAYS,
            "word": [word for words in _WORDS.values() for word in words],
        }

    def __getitem__(self, slot: str) -> str:
        return self.rng.choice(self.choices[slot])


def _alternatives(value: str) -> list[str]:
    """Words for the other values of the trait that `value` belongs to."""
    kind = next(kind for kind in _KINDS if value in kind)
    return [word for other in kind if other != value for word in _WORDS[other]]
