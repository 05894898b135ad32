"""The words and sentences of the built-in text."""

import re

from devise_tf.small_world.language import Language
from devise_tf.small_world.names import pseudo_word

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

# No trait stands right before {genus}: that could be the name of another species.
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
_A_BEFORE_VOWEL = re.compile(r"\ba(?= [aeio])")


def _punctuate(sentence: str) -> str:
    sentence = _A_BEFORE_VOWEL.sub("an", sentence.replace(" ,", ","))
    return f"{sentence[0].upper()}{sentence[1:]}."


ENGLISH = Language(
    words=_WORDS,
    about_species=_ABOUT_SPECIES,
    about_genera=_ABOUT_GENUS,
    about_else=_ABOUT_ELSE,
    fillers={"thing": _THINGS, "verb": _VERBS, "day": _DAYS},
    proper_name=lambda rng: pseudo_word(rng).capitalize(),
    punctuate=_punctuate,
)
