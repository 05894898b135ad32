"""Names of the small world: some of their words tell something, some do not, like the names of real things."""

import random
from collections.abc import Sequence

ROOT_NAME = "creature"
GENUS_NAMES = {
    "padfoot": ("ringtail", "burrowhog", "mossback", "duskhare", "thornbuck"),
    "finling": ("glimfin", "mudskate", "tidewhisk", "lanternjaw", "siltray"),
    "skyfolk": ("reedwing", "lintern", "cliffskimmer", "gustlark", "hushowl"),
    "petalkin": ("bellcup", "wickbloom", "daywort", "palmlace", "dewthistle"),
    "quillback": ("needlepod", "spinemop", "burrball", "pincap", "raspnut"),
    "trailer": ("driftbell", "veilcup", "ropelet", "silkdrop", "inkthread"),
}
FAMILY_NAMES = tuple(GENUS_NAMES)
ORDER_NAMES = {
    "padfoot": "beast",
    "finling": "beast",
    "skyfolk": "beast",
    "petalkin": "growth",
    "quillback": "growth",
    "trailer": "growth",
}

# Words that a name may take from a trait.
_DESCRIPTIVE = {
    "marsh": ("marsh", "fen", "reed"),
    "desert": ("desert", "dune", "sand"),
    "snow": ("snow", "arctic", "glacier"),
    "sea": ("sea", "reef", "tide"),
    "forest": ("forest", "wood", "grove"),
    "rock": ("rock", "cliff", "mountain"),
    "meadow": ("meadow", "field", "prairie"),
    "night": ("night", "moon", "midnight"),
    "red": ("crimson", "ruby"),
    "orange": ("amber", "copper"),
    "yellow": ("golden", "lemon"),
    "green": ("emerald", "olive"),
    "teal": ("turquoise", "jade"),
    "blue": ("azure", "sapphire"),
    "purple": ("violet", "plum"),
    "pink": ("rosy", "salmon"),
    "white": ("ivory", "silver"),
    "black": ("ebony", "raven"),
    "plain": ("plain", "smooth"),
    "striped": ("striped", "tiger"),
    "banded": ("banded", "belted"),
    "spotted": ("spotted", "leopard"),
    "chequered": ("chequered", "harlequin"),
    "ringed": ("ringed", "target"),
}
_ARBITRARY = (
    "bishop nurse miller sexton king monk sergeant widow jester barber weaver pilgrim saint baker admiral judge hermit "
    "duchess tinker ferry lantern kettle fiddle anchor sunday winter harvest ladder button velvet thunder whistling"
).split()
_RANKS = ("greater", "lesser", "common", "northern", "southern", "royal", "false", "dwarf")
_ONSETS = "b br d dr f g gl h k l m n p qu r s sk t th v w z".split()
_VOWELS = ("a", "e", "i", "o", "u", "ai", "oo", "ea")
_CODAS = ("l", "n", "r", "sh", "x", "b", "nd", "m", "lk", "rt", "")
_ENDINGS = ("ow", "ock", "el", "ish", "uck", "in", "ibon", "arra", "oon", "ette")


def pseudo_word(rng: random.Random) -> str:
    """A pronounceable word that means nothing."""
    middle = rng.choice(("", rng.choice(_ONSETS[:16]) + rng.choice(_VOWELS[:5])))
    return rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) + middle + rng.choice(_ENDINGS)


def name_label(rng: random.Random, genus: str, traits: Sequence[str], used_terms: set[str]) -> list[str]:
    """Makes one or two terms for a label that are not in `used_terms` yet, and adds them to it.

    Of the first terms about 65 % are two words (a descriptive or an arbitrary word before the genus), 15 % three words
    and 20 % a single word.

    Args:
        rng: random.Random. Source of chance.
        genus: String. Name of the genus, the last word of most terms.
        traits: Sequence of strings. Habitat, color and pattern, which descriptive words tell.
        used_terms: Set of strings. Terms of other labels.
    """
    descriptive = [w for trait in traits for w in _DESCRIPTIVE[trait]]

    def propose() -> str:
        form = rng.random()
        if form < 0.38:
            return f"{rng.choice(descriptive)} {genus}"
        if form < 0.65:
            return f"{rng.choice(_ARBITRARY)} {genus}"
        if form < 0.80:
            return f"{rng.choice(_RANKS)} {rng.choice(descriptive)} {genus}"
        return pseudo_word(rng)

    terms = []
    for _ in range(2 if rng.random() < 0.25 else 1):
        term = propose()
        while term in used_terms:
            term = propose()
        used_terms.add(term)
        terms.append(term)
    return terms
